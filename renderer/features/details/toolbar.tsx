/** The orders that a machine takes. A button keeps its place in every state; only what it can do changes. */
import type { ReactElement } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { order } from '../../app/actions.ts';
import { isAlive, isAllowed } from '../../app/orders.ts';
import { open } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import { Button, IconButton } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';
import { MenuButton } from '../../ui/menu.tsx';
import { manageEntries } from '../library/machine-menu.ts';

export function Toolbar({ machine }: { machine: MachineSummary }): ReactElement {
  const alive = isAlive(machine.state);
  const can = (verb: Parameters<typeof isAllowed>[0]) => isAllowed(verb, machine);
  return (
    <div className="toolbar" role="toolbar" aria-label={t('toolbar.title')}>
      {machine.state === 'paused' ? (
        <Button
          variant="primary"
          icon="play"
          className="toolbar-main"
          disabled={!can('resume')}
          onClick={() => order('resume', machine)}
          data-testid="action-resume"
        >
          {t('verb.resume')}
        </Button>
      ) : alive ? (
        <Button
          icon="pause"
          className="toolbar-main"
          disabled={!can('pause')}
          busy={machine.state === 'starting'}
          onClick={() => order('pause', machine)}
          data-testid="action-pause"
        >
          {t('verb.pause')}
        </Button>
      ) : (
        <Button
          variant="primary"
          icon="play"
          className="toolbar-main"
          onClick={() => order('start', machine)}
          data-testid="action-start"
        >
          {t('verb.start')}
        </Button>
      )}
      <span className="toolbar-group">
        <IconButton
          icon="reset"
          label={t('verb.reset')}
          disabled={!can('reset')}
          onClick={() => order('reset', machine)}
          data-testid="action-reset"
        />
        <IconButton
          icon="acpi"
          label={t('verb.shutdown')}
          disabled={!can('shutdown')}
          onClick={() => order('shutdown', machine)}
          data-testid="action-shutdown"
        />
        <IconButton
          icon="power"
          danger
          label={t('verb.powerOff')}
          disabled={!can('powerOff')}
          onClick={() => open({ kind: 'powerOff', machine })}
          data-testid="action-power-off"
        />
      </span>
      <IconButton
        icon="settings"
        label={t('verb.settings')}
        onClick={() => open({ kind: 'settings', id: machine.id, page: 'general' })}
        data-testid="action-settings"
      />
      <MenuButton
        entries={() => manageEntries(machine)}
        label={t('toolbar.more')}
        className="icon-btn"
        testId="action-more"
      >
        <Icon name="more" />
      </MenuButton>
    </div>
  );
}
