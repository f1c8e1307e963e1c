/** Below the screen: state, drives (with their disc menus), who has keyboard and pointer, memory. */
import type { ReactElement } from 'react';
import type { MachineDetails, MachineSummary } from '../../../electron/api/contract.ts';
import { formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Icon } from '../../ui/icons.tsx';
import { MenuButton } from '../../ui/menu.tsx';
import { StateDot, stateText } from '../library/state.tsx';
import { discEntries, useKnownDiscs } from '../storage/disc-menu.tsx';
import { fileName, slotName } from '../storage/slots.ts';
import type { Capture } from './screen.ts';

export function StatusBar({
  machine,
  details,
  capture,
  hostKey,
}: {
  machine: MachineSummary;
  details: MachineDetails | undefined;
  capture: Capture;
  hostKey: string;
}): ReactElement {
  const known = useKnownDiscs();
  const storage = details?.definition.storage ?? [];
  return (
    <footer className="status-bar" data-testid="status-bar">
      <span className="status-item">
        <StateDot machine={machine} />
        {stateText(machine)}
      </span>
      {storage.map((device) => {
        const live = details?.runtime?.drives.find((drive) => drive.deviceId === device.id);
        const path = live ? live.path : device.path;
        if (device.kind === 'disk') {
          return (
            <span key={device.id} className="status-item" title={`${slotName(device)}: ${device.path}`}>
              <Icon name="disk" size={14} />
              <span className="truncate">{fileName(device.path)}</span>
            </span>
          );
        }
        return (
          <MenuButton
            key={device.id}
            className="status-item status-button"
            label={t('storage.discMenu', { name: path ? fileName(path) : t('storage.empty') })}
            title={`${slotName(device)}: ${path ?? t('storage.empty')}`}
            testId={`status-disc-${device.id}`}
            entries={() => discEntries(machine, device.id, path, known)}
          >
            <Icon name="disc" size={14} />
            <span className="truncate">{path ? fileName(path) : t('storage.empty')}</span>
            <Icon name="chevronUp" size={11} />
          </MenuButton>
        );
      })}
      <span className="grow" />
      <span
        className="status-item"
        data-active={capture.pointer || undefined}
        title={capture.pointer ? t('console.pointerCaptured') : t('console.pointerFree')}
      >
        <Icon
          name="mouse"
          size={14}
          label={capture.pointer ? t('console.pointerCaptured') : t('console.pointerFree')}
        />
      </span>
      <span
        className="status-item status-capture"
        data-active={capture.keyboard || undefined}
        data-testid="capture-state"
      >
        <Icon name="keyboard" size={14} />
        {capture.keyboard ? t('console.captured', { key: hostKey }) : t('console.notCaptured')}
      </span>
      <span className="status-item num" title={t('field.memory')}>
        <Icon name="memory" size={14} />
        {formatMiB(machine.memoryMiB)}
      </span>
    </footer>
  );
}
