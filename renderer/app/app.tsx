/** The window: library on the left, the chosen machine on the right, dialogs and messages above them. */
import { type ReactElement, useEffect } from 'react';
import { MachinePage } from '../features/details/machine-page.tsx';
import { Library } from '../features/library/library.tsx';
import { Welcome } from '../features/library/welcome.tsx';
import { t, useLanguage } from '../i18n/index.ts';
import { Banner, Button, Spinner } from '../ui/controls.tsx';
import { Mark } from '../ui/icons.tsx';
import { SplitPane } from '../ui/panes.tsx';
import { Toasts } from '../ui/toasts.tsx';
import { DropTarget } from './drop-target.tsx';
import { Overlays } from './overlays.tsx';
import { connected, machines, session, startProblem, useStore } from './session.ts';
import { open, overlay, selected } from './view.ts';

export function App(): ReactElement {
  useLanguage();
  const now = useStore(session);
  const problem = useStore(startProblem);
  if (!now) {
    return (
      <main className="splash">
        <Mark size={56} />
        {problem ? (
          <Banner
            tone="danger"
            title={t('app.cannotStart')}
            actions={<Button onClick={() => location.reload()}>{t('common.tryAgain')}</Button>}
          >
            {problem.message}
          </Banner>
        ) : (
          <span className="row muted">
            <Spinner /> {t('app.connecting')}
          </span>
        )}
      </main>
    );
  }
  return <Main />;
}

function Main(): ReactElement {
  const list = useStore(machines);
  const chosen = useStore(selected);
  const isConnected = useStore(connected);
  const { info } = useStore(session)!;
  const machine = list.find((candidate) => candidate.id === chosen) ?? list[0];
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (overlay.get() || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      if ((event.target as HTMLElement | null)?.closest?.('[data-keyboard="guest"]')) return;
      if (event.key === 'n') open({ kind: 'wizard' });
      else if (event.key === ',') open({ kind: 'preferences' });
      else if (event.key === 'f') document.querySelector<HTMLElement>('[data-testid="library-search"]')?.focus();
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
  return (
    <DropTarget>
      <div className="window">
        {!isConnected && (
          <div className="connection-lost" role="alert" data-testid="connection-lost">
            <Spinner size={12} /> {t('app.reconnecting')}
          </div>
        )}
        {!info.engine.found && (
          <div className="engine-missing" role="alert">
            <Banner tone="danger" title={t('app.noEngine')} testId="engine-missing">
              {info.engine.problem ?? info.engine.path}
            </Banner>
          </div>
        )}
        <SplitPane
          storageKey="terrarium.sidebar"
          label={t('app.sidebarWidth')}
          initial={272}
          min={216}
          max={420}
          side={<Library machines={list} chosen={machine?.id} />}
        >
          {machine ? <MachinePage key={machine.id} machine={machine} /> : <Welcome />}
        </SplitPane>
      </div>
      <Overlays />
      <Toasts />
    </DropTarget>
  );
}
