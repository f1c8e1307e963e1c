/** The light of a drive: its traffic of the last second, in colour here and in words for the drive's tooltip. */
import type { ReactElement } from 'react';
import type { MachineActivity } from '../../../electron/api/contract.ts';
import { formatBytes } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';

type DriveActivity = MachineActivity['drives'][number] | undefined;

export function ActivityLight({ drive }: { drive: DriveActivity }): ReactElement {
  const traffic = drive?.writtenBytesPerSecond ? 'write' : drive?.readBytesPerSecond ? 'read' : 'none';
  return <span className="activity-light" data-activity={traffic} data-testid="activity-light" aria-hidden="true" />;
}

/** `reads 1.2 MiB/s`, `idle`: never by colour alone. */
export function driveActivityText(drive: DriveActivity): string {
  const { readBytesPerSecond: read = 0, writtenBytesPerSecond: written = 0 } = drive ?? {};
  const parts = [
    ...(read > 0 ? [t('status.reads', { rate: formatBytes(Math.ceil(read)) })] : []),
    ...(written > 0 ? [t('status.writes', { rate: formatBytes(Math.ceil(written)) })] : []),
  ];
  return parts.join(', ') || t('status.idle');
}
