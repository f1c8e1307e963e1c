/** The chosen machine: name, state and orders on top, then its tabs. */
import { type ReactElement, useEffect } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt, order } from '../../app/actions.ts';
import { isAlive } from '../../app/orders.ts';
import { useDetails, useSession, useStore } from '../../app/session.ts';
import { open, showTab, type Tab, tabs } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import { copyText } from '../../ui/clipboard.ts';
import { Banner, Button, EmptyState } from '../../ui/controls.tsx';
import { OsIcon } from '../../ui/os-icon.tsx';
import { type TabItem, Tabs } from '../../ui/panes.tsx';
import { ConsoleView } from '../console/console-view.tsx';
import { StateDot, stateText } from '../library/state.tsx';
import { LogView } from '../log/log-view.tsx';
import { SerialView } from '../serial/serial-view.tsx';
import { TerminalView } from '../serial/terminal-view.tsx';
import { DetailsView } from './details-view.tsx';
import { Toolbar } from './toolbar.tsx';
import { Uptime } from './uptime.tsx';

export function MachinePage({ machine }: { machine: MachineSummary }): ReactElement {
  const details = useDetails(machine.id);
  const { info } = useSession();
  const wanted = useStore(tabs).get(machine.id) ?? 'details';
  const hasSerial = details?.definition.serialPorts.some((port) => port.kind === 'terminal') ?? false;
  const channels = details?.runtime?.channels;
  const items: TabItem<Tab>[] = [
    { id: 'details', label: t('tab.details'), icon: 'general' },
    { id: 'screen', label: t('tab.screen'), icon: 'display' },
    ...(hasSerial ? [{ id: 'serial', label: t('tab.serial'), icon: 'serial' } as const] : []),
    ...(channels?.monitor ? [{ id: 'monitor', label: t('tab.monitor'), icon: 'terminal' } as const] : []),
    { id: 'log', label: t('tab.log'), icon: 'log' },
  ];
  const tab = items.some((item) => item.id === wanted) ? wanted : 'details';
  const family = info.guestFamilies.find((candidate) => candidate.id === machine.guest);
  useEffect(() => {
    document.title = `${machine.name} – Terrarium`;
    return () => {
      document.title = 'Terrarium';
    };
  }, [machine.name]);
  return (
    <main className="page" data-testid="machine-page" data-state={machine.state}>
      <header className="page-head">
        <OsIcon os={machine.guest} size={40} />
        <div className="grow">
          <h1 className="truncate" data-testid="machine-title">
            {machine.name}
          </h1>
          <div className="page-state">
            <StateDot machine={machine} />
            <span data-testid="machine-state">{stateText(machine)}</span>
            {details?.runtime && isAlive(machine.state) && <Uptime since={details.runtime.startedAt} />}
            <span className="muted truncate">{family && family.id !== 'other' ? family.label : t('guest.other')}</span>
          </div>
        </div>
        <Toolbar machine={machine} />
      </header>
      <div className="page-tabs">
        <Tabs label={t('tab.all')} items={items} value={tab} onValue={(next) => showTab(machine.id, next)} />
      </div>
      <Failure machine={machine} onShowLog={() => showTab(machine.id, 'log')} />
      <div className="page-body" role="tabpanel" aria-label={items.find((item) => item.id === tab)?.label}>
        {tab === 'details' && details && <DetailsView machine={details} />}
        {tab === 'screen' && <ConsoleView machine={machine} details={details} />}
        {tab === 'serial' && details && <SerialView machine={machine} details={details} />}
        {tab === 'monitor' && (
          <TerminalView
            key="monitor"
            machine={machine}
            kind="monitor"
            port={0}
            isOpen={channels?.monitor ?? false}
            hint={t('monitor.hint')}
          />
        )}
        {tab === 'log' && <LogView machine={machine} />}
        {!details && tab === 'serial' && <EmptyState icon="serial" title={t('common.loading')} />}
      </div>
    </main>
  );
}

/** What ended the machine, with the engine's own words, until it is dismissed or started again. */
function Failure({ machine, onShowLog }: { machine: MachineSummary; onShowLog: () => void }): ReactElement | null {
  const { failure } = machine;
  if (!failure || isAlive(machine.state)) return null;
  const title =
    failure.kind === 'start-failed'
      ? t('failure.start', { name: machine.name })
      : t('failure.crash', { name: machine.name });
  const how = [
    failure.signal ? t('failure.signal', { signal: failure.signal }) : '',
    failure.exitCode !== null ? t('failure.exitCode', { code: failure.exitCode }) : '',
  ].filter(Boolean);
  const details = [title, failure.message, ...how, '', failure.engineOutput].join('\n').trim();
  return (
    <div className="page-failure">
      <Banner tone="danger" testId="failure-banner" title={title}>
        <p>{failure.message}</p>
        {failure.engineOutput.trim() && <pre data-testid="engine-output">{failure.engineOutput.trim()}</pre>}
        <div className="failure-actions">
          <Button size="sm" icon="copy" onClick={() => copyText(details)} data-testid="copy-details">
            {t('common.copyDetails')}
          </Button>
          <Button size="sm" icon="log" onClick={onShowLog}>
            {t('failure.showLog')}
          </Button>
          {failure.kind === 'start-failed' ? (
            <Button
              size="sm"
              icon="settings"
              onClick={() => open({ kind: 'settings', id: machine.id, page: 'storage' })}
            >
              {t('verb.settings')}
            </Button>
          ) : (
            <Button size="sm" icon="play" onClick={() => order('start', machine)}>
              {t('failure.startAgain')}
            </Button>
          )}
          <Button
            size="sm"
            variant="ghost"
            onClick={() =>
              attempt(t('common.dismiss'), () => api().call('machines.dismissFailure', { id: machine.id }))
            }
            data-testid="dismiss-failure"
          >
            {t('common.dismiss')}
          </Button>
        </div>
      </Banner>
    </div>
  );
}
