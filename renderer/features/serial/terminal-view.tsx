/** A terminal with its bar: search, copy, clear. */
import { type ReactElement, useEffect, useRef, useState } from 'react';
import type { ChannelKind, MachineSummary } from '../../../electron/api/contract.ts';
import { useStore } from '../../app/session.ts';
import { t } from '../../i18n/index.ts';
import { copyText } from '../../ui/clipboard.ts';
import { IconButton } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';
import { showToast } from '../../ui/toasts.tsx';
import { liveTerminal } from './terminals.ts';

export function TerminalView({
  machine,
  kind,
  port,
  isOpen,
  hint,
  leading,
}: {
  machine: MachineSummary;
  kind: ChannelKind;
  port: number;
  isOpen: boolean;
  hint: string;
  leading?: ReactElement;
}): ReactElement {
  const live = liveTerminal(kind, machine.id, port);
  const isConnected = useStore(live.connected);
  const host = useRef<HTMLDivElement>(null);
  const finder = useRef<HTMLInputElement>(null);
  const [query, setQuery] = useState('');
  const [missing, setMissing] = useState(false);
  useEffect(() => live.want(isOpen), [live, isOpen]);
  useEffect(() => {
    const element = host.current!;
    live.attach(element);
    live.terminal.focus();
    const observer = new ResizeObserver(() => live.fit());
    observer.observe(element);
    live.terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== 'keydown' || !event.ctrlKey || !event.shiftKey) return true;
      if (event.code === 'KeyF') finder.current?.focus();
      else if (event.code === 'KeyC') void copyText(live.terminal.getSelection());
      else return true;
      event.preventDefault();
      return false;
    });
    return () => {
      observer.disconnect();
      live.detach();
    };
  }, [live]);
  const find = (text: string, back = false) => {
    if (!text) {
      live.search.clearDecorations();
      setMissing(false);
      return;
    }
    setMissing(!(back ? live.search.findPrevious(text) : live.search.findNext(text)));
  };
  return (
    <div className="terminal" data-testid={`terminal-${kind}-${port}`}>
      <div className="console-bar">
        {leading}
        <span className="status-item">
          <span className={`state-dot state-${isConnected ? 'running' : 'off'}`} aria-hidden="true" />
          {isConnected ? t('terminal.connected') : t('terminal.disconnected')}
        </span>
        <span className="muted small truncate grow">{hint}</span>
        <span className="terminal-find" data-missing={missing || undefined}>
          <Icon name="search" size={14} />
          <input
            ref={finder}
            className="input"
            type="search"
            placeholder={t('terminal.find')}
            aria-label={t('terminal.find')}
            title="Ctrl+Shift+F"
            value={query}
            onChange={(event) => {
              setQuery(event.target.value);
              find(event.target.value);
            }}
            onKeyDown={(event) => {
              if (event.key === 'Enter') find(query, event.shiftKey);
              else if (event.key === 'Escape') live.terminal.focus();
            }}
          />
        </span>
        <IconButton
          icon="copy"
          label={t('terminal.copy')}
          shortcut="Ctrl+Shift+C"
          onClick={async () => {
            const done = await copyText(live.terminal.getSelection() || live.allText());
            if (done) showToast({ tone: 'ok', title: t('common.copied') });
          }}
          data-testid="terminal-copy"
        />
        <IconButton icon="clear" label={t('terminal.clear')} onClick={() => live.terminal.clear()} />
      </div>
      <div className="terminal-host" ref={host} data-keyboard="guest" />
    </div>
  );
}
