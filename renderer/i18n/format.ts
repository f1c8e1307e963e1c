/** Sizes, dates and durations in the language shown now. */
import { currentLanguage } from './index.ts';

const STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1536` → `1.5 KiB`: binary steps, at most one decimal. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (value >= 1024 && step < STEPS.length - 1) {
    value /= 1024;
    step++;
  }
  const digits = step === 0 || value >= 100 ? 0 : 1;
  return `${value.toLocaleString(currentLanguage(), { maximumFractionDigits: digits })} ${STEPS[step]}`;
}

export function formatMiB(mebibytes: number): string {
  return formatBytes(mebibytes * 1024 * 1024);
}

/** Three figures at most: `0.4`, `12.3`, `123`. */
export function formatNumber(value: number): string {
  return value.toLocaleString(currentLanguage(), { maximumFractionDigits: value >= 99.95 ? 0 : 1 });
}

export function formatDateTime(at: number): string {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: 'medium', timeStyle: 'short' }).format(at);
}

export function formatTime(at: number): string {
  return new Intl.DateTimeFormat(currentLanguage(), {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  }).format(at);
}

/** Running time as `1:02:03` or `2:03`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
