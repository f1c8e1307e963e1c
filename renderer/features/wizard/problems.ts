/** Why a value cannot be taken, said while it is typed. Only what the form itself can know; the manager has the last word. */
import type { HostLimits } from '../../../electron/api/contract.ts';
import { LIMITS } from '../../api/fixed.ts';
import { formatBytes, formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';

export function nameProblem(name: string, others: readonly string[]): string | undefined {
  const trimmed = name.trim();
  if (!trimmed) return t('problem.nameEmpty');
  if (trimmed.length > LIMITS.nameLength) return t('problem.nameLong', { most: LIMITS.nameLength });
  if (/\p{Cc}/u.test(name)) return t('problem.controlCharacters');
  if (others.some((other) => other.toLowerCase() === trimmed.toLowerCase())) return t('problem.nameTaken');
  return undefined;
}

export function memoryProblem(memoryMiB: number, limits: HostLimits): string | undefined {
  const most = Math.min(LIMITS.memoryMiB.max, limits.maximumMachineMemoryMiB);
  if (!Number.isInteger(memoryMiB)) return t('problem.wholeNumber');
  if (memoryMiB < LIMITS.memoryMiB.min) return t('problem.tooSmall', { least: formatMiB(LIMITS.memoryMiB.min) });
  if (memoryMiB > most) return t('problem.memoryTooMuch', { most: formatMiB(most) });
  return undefined;
}

export function cpuProblem(count: number, limits: HostLimits): string | undefined {
  const most = Math.min(LIMITS.cpuCount.max, limits.maximumMachineCpus);
  if (!Number.isInteger(count)) return t('problem.wholeNumber');
  if (count < LIMITS.cpuCount.min || count > most) return t('problem.cpuRange', { most });
  return undefined;
}

export function diskSizeProblem(bytes: number, limits: HostLimits): string | undefined {
  if (!Number.isFinite(bytes) || bytes <= 0) return t('problem.number');
  if (bytes < 512) return t('problem.tooSmall', { least: formatBytes(512) });
  if (bytes > limits.largestDiskBytes) return t('problem.diskTooLarge', { most: formatBytes(limits.largestDiskBytes) });
  return undefined;
}

export function pathProblem(path: string): string | undefined {
  if (!path) return t('problem.pathEmpty');
  if (/\p{Cc}/u.test(path)) return t('problem.controlCharacters');
  if (!path.startsWith('/') && !/^[A-Za-z]:[\\/]/.test(path)) return t('problem.pathAbsolute');
  return undefined;
}
