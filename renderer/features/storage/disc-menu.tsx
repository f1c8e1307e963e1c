/** The button beside an optical drive: choose a disc, one of the known ones, or eject; also while the machine runs. */
import { type ReactElement, useEffect, useState } from 'react';
import type { MachineSummary, Medium } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { changeMedium, chooseDisc } from '../../app/actions.ts';
import { t } from '../../i18n/index.ts';
import { Icon } from '../../ui/icons.tsx';
import { MenuButton, type MenuEntry } from '../../ui/menu.tsx';
import { fileName } from './slots.ts';

/** The ISO files that the library knows, newest use first. */
export function useKnownDiscs(): readonly Medium[] {
  const [media, setMedia] = useState<readonly Medium[]>([]);
  useEffect(() => {
    let current = true;
    const load = () =>
      api()
        .call('media.list')
        .then(
          (list) => current && setMedia(list.filter((medium) => medium.kind === 'iso' && medium.sizeBytes !== null)),
        )
        .catch(() => undefined);
    void load();
    const off = api().on('media.changed', load);
    return () => {
      current = false;
      off();
    };
  }, []);
  return [...media].sort((a, b) => b.lastUsedAt - a.lastUsedAt);
}

export function discEntries(
  machine: MachineSummary,
  deviceId: string,
  path: string | null,
  known: readonly Medium[],
): MenuEntry[] {
  const recent = known.filter((medium) => medium.path !== path).slice(0, 6);
  return [
    {
      id: 'choose-disc',
      label: t('storage.chooseDisc'),
      icon: 'folder',
      run: () => chooseDisc(machine, deviceId, path),
    },
    ...(recent.length ? (['separator', { heading: t('storage.recent') }] as MenuEntry[]) : []),
    ...recent.map(
      (medium): MenuEntry => ({
        id: `disc-${medium.fileName}`,
        label: medium.fileName,
        icon: 'disc',
        run: () => void changeMedium(machine, deviceId, medium.path),
      }),
    ),
    'separator',
    {
      id: 'eject',
      label: t('storage.eject'),
      icon: 'eject',
      disabled: path === null,
      run: () => void changeMedium(machine, deviceId, null),
    },
  ];
}

export function DiscMenu({
  machine,
  deviceId,
  path,
}: {
  machine: MachineSummary;
  deviceId: string;
  path: string | null;
}): ReactElement {
  const known = useKnownDiscs();
  const label = t('storage.discMenu', { name: path ? fileName(path) : t('storage.empty') });
  return (
    <MenuButton
      entries={() => discEntries(machine, deviceId, path, known)}
      label={label}
      className="icon-btn icon-btn-sm"
      testId={`disc-menu-${deviceId}`}
    >
      <Icon name="chevronDown" size={12} />
    </MenuButton>
  );
}
