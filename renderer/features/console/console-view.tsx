/** The machine's screen with its bars. Pixels go from the channel to the canvas; React only draws what is around it. */
import { type ReactElement, useCallback, useEffect, useRef, useState } from 'react';
import type { MachineDetails, MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt, order } from '../../app/actions.ts';
import { isAlive, isAllowed } from '../../app/orders.ts';
import { updateSettings, useSession } from '../../app/session.ts';
import { t } from '../../i18n/index.ts';
import { Button, EmptyState, IconButton, Segmented, Spinner } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';
import { MenuButton } from '../../ui/menu.tsx';
import { CHORDS, HostKey, hostKeyLabel } from './keys.ts';
import { type Capture, openScreen, type ScreenLink } from './screen.ts';
import { saveScreenshot } from './screenshot.ts';
import { StatusBar } from './status-bar.tsx';
import { TypeTextDialog } from './type-text-dialog.tsx';

export function ConsoleView({
  machine,
  details,
}: {
  machine: MachineSummary;
  details: MachineDetails | undefined;
}): ReactElement {
  const alive = isAlive(machine.state);
  if (!alive) {
    return (
      <EmptyState icon="display" title={t('console.off')}>
        <p>{t('console.offHint')}</p>
        <Button variant="primary" icon="play" onClick={() => order('start', machine)}>
          {t('verb.start')}
        </Button>
      </EmptyState>
    );
  }
  if (details?.definition.display.vga === 'none' && details.runtime && !details.runtime.channels.console) {
    return (
      <EmptyState icon="display" title={t('console.noScreen')}>
        <p>{t('console.noScreenHint')}</p>
      </EmptyState>
    );
  }
  return <LiveConsole machine={machine} details={details} ready={details?.runtime?.channels.console ?? false} />;
}

function LiveConsole({
  machine,
  details,
  ready,
}: {
  machine: MachineSummary;
  details: MachineDetails | undefined;
  ready: boolean;
}): ReactElement {
  const { settings } = useSession();
  const frame = useRef<HTMLDivElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const link = useRef<ScreenLink>(undefined);
  const [linked, setLinked] = useState(false);
  const [size, setSize] = useState<{ width: number; height: number }>();
  const [capture, setCapture] = useState<Capture>({ keyboard: false, pointer: false });
  const [full, setFull] = useState(false);
  const [typing, setTyping] = useState(false);
  const scaling = settings.consoleScaling === 'one' ? 'one' : 'fit';
  const { id } = machine;

  useEffect(() => {
    if (!ready || !host.current) return;
    const opened = openScreen(host.current, () => api().openChannel('console', id), {
      onLinked: setLinked,
      onSize: (width, height) => setSize({ width, height }),
      onCapture: setCapture,
    });
    link.current = opened;
    opened.focus();
    return () => {
      link.current = undefined;
      opened.close();
    };
  }, [id, ready]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new link has to be told as well
  useEffect(() => link.current?.scale(scaling), [scaling, ready, id]);

  const toggleFull = useCallback(() => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else
      void frame.current?.requestFullscreen().then(() =>
        keyboardLock()
          ?.lock?.()
          .catch(() => undefined),
      );
  }, []);
  const sendKeys = useCallback(
    (keys: string[]) =>
      attempt(t('failed.keys', { name: machine.name }), () => api().call('machines.sendKeys', { id, keys })),
    [id, machine.name],
  );

  useEffect(() => {
    const onChange = () => {
      setFull(document.fullscreenElement === frame.current && frame.current !== null);
      link.current?.focus();
    };
    document.addEventListener('fullscreenchange', onChange);
    return () => document.removeEventListener('fullscreenchange', onChange);
  }, []);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const hostKey = new HostKey(settings.hostKey);
    const onKey = (event: KeyboardEvent) => {
      const outcome = hostKey.event(event.type as 'keydown' | 'keyup', event.code);
      if (outcome === 'pass') return;
      event.preventDefault();
      event.stopPropagation();
      if (outcome === 'release') link.current?.release();
      else if (outcome === 'fullscreen') toggleFull();
      else if (outcome === 'ctrlAltDel') void sendKeys(['ctrl', 'alt', 'delete']);
    };
    const onBlur = () => hostKey.reset();
    element.addEventListener('keydown', onKey, true);
    element.addEventListener('keyup', onKey, true);
    element.addEventListener('focusout', onBlur);
    return () => {
      element.removeEventListener('keydown', onKey, true);
      element.removeEventListener('keyup', onKey, true);
      element.removeEventListener('focusout', onBlur);
    };
  }, [settings.hostKey, sendKeys, toggleFull]);

  const busy = machine.state === 'starting' || !linked;
  return (
    <div className="console" ref={frame} data-full={full || undefined} data-testid="console">
      <div className="console-bar" role="toolbar" aria-label={t('console.tools')}>
        <Segmented
          label={t('console.scaling')}
          value={scaling}
          options={[
            { value: 'fit', label: t('console.fit') },
            { value: 'one', label: '1:1' },
          ]}
          onValue={(value) => void attempt(t('failed.settings'), () => updateSettings({ consoleScaling: value }))}
          testId="console-scaling"
        />
        <span className="console-size num muted">{size ? `${size.width} × ${size.height}` : ''}</span>
        <span className="grow" />
        <Button
          size="sm"
          variant="ghost"
          onClick={() => sendKeys(['ctrl', 'alt', 'delete'])}
          disabled={machine.state !== 'running'}
          data-testid="send-cad"
        >
          Ctrl+Alt+Del
        </Button>
        <MenuButton
          label={t('console.sendKeys')}
          className="btn btn-ghost btn-sm"
          disabled={machine.state !== 'running'}
          testId="send-keys"
          entries={() =>
            CHORDS.map((chord) =>
              chord === 'separator'
                ? chord
                : { id: chord.id, label: chord.label, run: () => void sendKeys(chord.keys) },
            )
          }
        >
          <Icon name="keyboard" />
          <span>{t('console.sendKeys')}</span>
          <Icon name="chevronDown" size={12} />
        </MenuButton>
        <IconButton
          icon="paste"
          label={t('console.typeText')}
          disabled={machine.state !== 'running'}
          onClick={() => setTyping(true)}
          data-testid="type-text"
        />
        <IconButton
          icon="camera"
          label={t('console.screenshot')}
          onClick={() => attempt(t('failed.screenshot'), () => saveScreenshot(machine))}
          data-testid="screenshot"
        />
        <IconButton
          icon={full ? 'exitFullscreen' : 'fullscreen'}
          label={full ? t('console.leaveFullscreen') : t('console.fullscreen')}
          shortcut={`${hostKeyLabel(settings.hostKey)}+F`}
          onClick={toggleFull}
          data-testid="fullscreen"
        />
      </div>
      <div className="console-stage" data-scaling={scaling}>
        {full && (
          <div className="console-hint">{t('console.fullscreenHint', { key: hostKeyLabel(settings.hostKey) })}</div>
        )}
        <div className="console-host" ref={host} data-keyboard="guest" data-testid="console-host" />
        {busy && (machine.state === 'running' || machine.state === 'starting') && (
          <div className="console-cover">
            <Spinner size={22} />
            <span>{machine.state === 'starting' ? t('state.starting') : t('console.connecting')}</span>
          </div>
        )}
        {machine.state === 'paused' && (
          <div className="console-cover console-paused" data-testid="paused-cover">
            <Icon name="pause" size={26} />
            <strong>
              {machine.pauseReason === 'user' || !machine.pauseReason
                ? t('state.paused')
                : t(`pauseReason.${machine.pauseReason}`)}
            </strong>
            {isAllowed('resume', machine) && (
              <Button variant="primary" icon="play" onClick={() => order('resume', machine)}>
                {t('verb.resume')}
              </Button>
            )}
          </div>
        )}
      </div>
      <StatusBar machine={machine} details={details} capture={capture} hostKey={hostKeyLabel(settings.hostKey)} />
      {typing && (
        <TypeTextDialog
          machine={machine}
          onClose={() => {
            setTyping(false);
            link.current?.focus();
          }}
        />
      )}
    </div>
  );
}

/** The Keyboard Lock API, where the browser has it: in full screen the guest then gets Esc and Alt+Tab. */
function keyboardLock(): { lock?: () => Promise<void> } | undefined {
  return (navigator as Navigator & { keyboard?: { lock?: () => Promise<void> } }).keyboard;
}
