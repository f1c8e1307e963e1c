/** What the context menu and the page's "more" button offer for a machine. */
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { order } from '../../app/actions.ts';
import { isAlive, isAllowed } from '../../app/orders.ts';
import { open, select, showTab } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import type { MenuEntry } from '../../ui/menu.tsx';

export function manageEntries(machine: MachineSummary): MenuEntry[] {
  const alive = isAlive(machine.state);
  return [
    {
      id: 'settings',
      label: t('verb.settings'),
      icon: 'settings',
      run: () => open({ kind: 'settings', id: machine.id, page: 'general' }),
    },
    { id: 'rename', label: t('verb.rename'), icon: 'edit', detail: 'F2', run: () => open({ kind: 'rename', machine }) },
    'separator',
    {
      id: 'delete',
      label: t('verb.delete'),
      icon: 'trash',
      danger: true,
      disabled: alive,
      detail: alive ? t('verb.deleteWhileRunning') : undefined,
      run: () => open({ kind: 'delete', machine }),
    },
  ] as MenuEntry[];
}

export function machineMenu(machine: MachineSummary): MenuEntry[] {
  const verbs: MenuEntry[] = isAlive(machine.state)
    ? [
        {
          id: 'show',
          label: t('verb.show'),
          icon: 'display',
          run: () => {
            select(machine.id);
            showTab(machine.id, 'screen');
          },
        },
        machine.state === 'paused'
          ? {
              id: 'resume',
              label: t('verb.resume'),
              icon: 'play',
              disabled: !isAllowed('resume', machine),
              run: () => void order('resume', machine),
            }
          : {
              id: 'pause',
              label: t('verb.pause'),
              icon: 'pause',
              disabled: !isAllowed('pause', machine),
              run: () => void order('pause', machine),
            },
        {
          id: 'reset',
          label: t('verb.reset'),
          icon: 'reset',
          disabled: !isAllowed('reset', machine),
          run: () => void order('reset', machine),
        },
        {
          id: 'shutdown',
          label: t('verb.shutdown'),
          icon: 'acpi',
          disabled: !isAllowed('shutdown', machine),
          run: () => void order('shutdown', machine),
        },
        {
          id: 'power-off',
          label: t('verb.powerOff'),
          icon: 'power',
          danger: true,
          disabled: !isAllowed('powerOff', machine),
          run: () => open({ kind: 'powerOff', machine }),
        },
      ]
    : [
        {
          id: 'start',
          label: t('verb.start'),
          icon: 'play',
          run: () => {
            select(machine.id);
            void order('start', machine);
          },
        },
      ];
  return [...verbs, 'separator', ...manageEntries(machine)];
}
