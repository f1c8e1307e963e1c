/** Sizes and numbers as people and QEMU write them. */

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** `134217728` -> `128 MiB`; the form of QEMU's size_to_str: three significant figures, binary prefixes. */
export function formatSize(bytes: number): string {
  const units = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toPrecision(3))} ${units[unit]}B`;
}

/** Lower-case hexadecimal of a non-negative number up to 2^64 inclusive-exact as doubles go, padded with zeroes. */
export function hex(value: number | bigint, digits = 0): string {
  return (typeof value === 'bigint' ? value : BigInt(value)).toString(16).padStart(digits, '0');
}
