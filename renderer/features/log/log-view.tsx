/** The machine's log as it grows: the manager's words, the engine's output, QMP's events. */
import { type ReactElement, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { LogEntry, MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt } from '../../app/actions.ts';
import { formatDateTime, formatTime } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { copyText } from '../../ui/clipboard.ts';
import { Button, EmptyState, Segmented } from '../../ui/controls.tsx';
import { type LogFilter, MOST_KEPT, mergeEntries, passes } from './entries.ts';

const PAGE = 500;

export function LogView({ machine }: { machine: MachineSummary }): ReactElement {
  const [entries, setEntries] = useState<readonly LogEntry[]>([]);
  const [hasOlder, setHasOlder] = useState(false);
  const [loaded, setLoaded] = useState(false);
  const [filter, setFilter] = useState<LogFilter>('all');
  const [copied, setCopied] = useState(false);
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const { id } = machine;

  useEffect(() => {
    let current = true;
    const off = api().on('machines.log', (event) => {
      if (event.id === id) setEntries((known) => mergeEntries(known, event.entries).slice(-MOST_KEPT));
    });
    void attempt(t('failed.log'), async () => {
      const page = await api().call('machines.log', { id, limit: PAGE });
      if (!current) return;
      setEntries((known) => mergeEntries(page.entries, known));
      setHasOlder(page.hasOlder);
      setLoaded(true);
    });
    return () => {
      current = false;
      off();
    };
  }, [id]);

  const shown = entries.filter((entry) => passes(filter, entry));
  useLayoutEffect(() => {
    if (following.current && list.current && shown.length) list.current.scrollTop = list.current.scrollHeight;
  }, [shown.length]);

  const loadOlder = () =>
    attempt(t('failed.log'), async () => {
      const first = entries[0];
      const page = await api().call('machines.log', { id, limit: PAGE, ...(first ? { before: first.sequence } : {}) });
      following.current = false;
      setEntries((known) => mergeEntries(page.entries, known));
      setHasOlder(page.hasOlder);
    });
  const copy = async () => {
    const lines = shown.map(
      (entry) => `${new Date(entry.at).toISOString()} ${entry.source.padEnd(7)} ${entry.level.padEnd(7)} ${entry.text}`,
    );
    await copyText([`${machine.name} (${machine.id})`, ...lines].join('\n'));
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };

  return (
    <div className="log">
      <div className="console-bar">
        <Segmented
          label={t('log.filter')}
          value={filter}
          onValue={setFilter}
          options={[
            { value: 'all', label: t('log.all') },
            { value: 'engine', label: t('log.engine') },
            { value: 'problems', label: t('log.problems') },
          ]}
        />
        <span className="grow" />
        <Button
          size="sm"
          variant="ghost"
          icon={copied ? 'check' : 'copy'}
          onClick={copy}
          disabled={shown.length === 0}
          data-testid="copy-log"
        >
          {copied ? t('common.copied') : t('common.copyDetails')}
        </Button>
      </div>
      <div
        className="log-list selectable"
        ref={list}
        role="log"
        aria-label={t('tab.log')}
        data-testid="log"
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          following.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {hasOlder && (
          <Button size="sm" variant="ghost" icon="chevronUp" onClick={loadOlder}>
            {t('log.older')}
          </Button>
        )}
        {shown.map((entry) => (
          <div key={entry.sequence} className="log-line" data-level={entry.level} data-source={entry.source}>
            <time className="num" dateTime={new Date(entry.at).toISOString()} title={formatDateTime(entry.at)}>
              {formatTime(entry.at)}
            </time>
            <span className="log-source">{t(`log.source.${entry.source}`)}</span>
            <span className="log-text">{entry.text}</span>
          </div>
        ))}
        {loaded && shown.length === 0 && <EmptyState icon="log" title={t('log.empty')} />}
      </div>
    </div>
  );
}
