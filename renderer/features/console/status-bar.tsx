/** Below the screen: state, drives with their lights (and disc menus), who has keyboard and pointer, what the machine
 *  takes. Every figure has a place of fixed width: the bar never moves under the pointer. */
import type { ReactElement } from 'react';
import type { MachineDetails, MachineSummary } from '../../../electron/api/contract.ts';
import { formatBytes, formatMiB, formatNumber } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Icon, type IconName } from '../../ui/icons.tsx';
import { MenuButton } from '../../ui/menu.tsx';
import { StateDot, stateText } from '../library/state.tsx';
import { discEntries, useKnownDiscs } from '../storage/disc-menu.tsx';
import { fileName, slotName } from '../storage/slots.ts';
import { ActivityLight, driveActivityText } from './activity-light.tsx';
import type { Capture } from './screen.ts';
import { useActivity } from './use-activity.ts';

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
  const activity = useActivity(machine.id, details?.runtime != null && machine.state !== 'starting');
  const speed = activity?.guestMips;
  const compiled = activity?.compiled;
  const captureText = capture.keyboard ? t('console.captured', { key: hostKey }) : t('console.notCaptured');
  return (
    <section className="status-bar" aria-label={t('status.title')} data-testid="status-bar">
      <span className="status-item status-state">
        <StateDot machine={machine} />
        {stateText(machine)}
      </span>
      {storage.map((device) => {
        const live = details?.runtime?.drives.find((drive) => drive.deviceId === device.id);
        const path = live ? live.path : device.path;
        const traffic = activity?.drives.find((drive) => drive.deviceId === device.id);
        const name = path ? fileName(path) : t('storage.empty');
        const tooltip = `${slotName(device)}: ${path ?? name}\n${driveActivityText(traffic)}`;
        if (device.kind === 'disk') {
          return (
            <span key={device.id} className="status-item" title={tooltip} data-testid={`status-disk-${device.id}`}>
              <ActivityLight drive={traffic} />
              <Icon name="disk" size={14} label={t('status.disk')} />
              <span className="truncate">{name}</span>
            </span>
          );
        }
        return (
          <MenuButton
            key={device.id}
            className="status-item status-button"
            label={t('storage.discMenu', { name })}
            title={tooltip}
            testId={`status-disc-${device.id}`}
            entries={() => discEntries(machine, device.id, path, known)}
          >
            <ActivityLight drive={traffic} />
            <Icon name="disc" size={14} />
            <span className="truncate">{name}</span>
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
        title={captureText}
        data-testid="capture-state"
      >
        <Icon name="keyboard" size={14} label={captureText} />
        <span className="truncate" aria-hidden="true">
          {captureText}
        </span>
      </span>
      <Figure
        icon="speed"
        name="speed"
        label={t('status.speed')}
        hint={speed == null ? t('status.speedUnknown') : t('status.speedHint')}
        value={speed == null ? undefined : t('status.mips', { count: formatNumber(speed) })}
      />
      <Figure
        icon="compiled"
        name="compiled"
        label={t('status.compiled')}
        hint={
          compiled == null
            ? t('status.compiledUnknown')
            : t('status.compiledHint', {
                size: formatBytes(compiled.codeBytes),
                invalidated: formatNumber(compiled.invalidated),
              })
        }
        value={compiled == null ? undefined : formatNumber(compiled.regions)}
      />
      <Figure
        icon="cpu"
        name="cpu"
        label={t('status.hostCpu')}
        hint={t('status.hostCpuHint')}
        value={activity?.hostCpuPercent == null ? undefined : `${Math.round(activity.hostCpuPercent)} %`}
      />
      <Figure
        icon="memory"
        name="memory"
        label={t('status.hostMemory')}
        hint={t('status.hostMemoryHint', { guest: formatMiB(machine.memoryMiB) })}
        value={activity?.hostMemoryBytes == null ? undefined : formatBytes(activity.hostMemoryBytes)}
      />
    </section>
  );
}

/** A measured value: a dash while it is not known. */
function Figure({
  icon,
  name,
  label,
  hint,
  value,
}: {
  icon: IconName;
  name: string;
  label: string;
  hint: string;
  value: string | undefined;
}): ReactElement {
  return (
    <span
      className={`status-item status-figure status-${name} num`}
      title={`${label}\n${hint}`}
      data-testid={`status-${name}`}
    >
      <Icon name={icon} size={14} label={label} />
      <span className="status-value">{value ?? '–'}</span>
    </span>
  );
}
