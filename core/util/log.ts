/** Log categories of `-d` and the one sink they go to. */

export const LOG_ITEMS = {
  in_asm: 'show target assembly code for each compiled TB',
  exec: 'show trace before each executed TB (lots of logs)',
  cpu: 'show CPU registers before entering a TB (lots of logs)',
  fpu: "include FPU registers in the 'cpu' logging",
  int: 'show interrupts/exceptions in short format',
  mmu: 'log MMU-related activities',
  cpu_reset: 'show CPU state before CPU resets',
  unimp: 'log unimplemented functionality',
  guest_errors: 'log when the guest OS does something invalid (eg accessing a\nnon-existent register)',
  nochain: 'do not chain compiled TBs so that "exec" and "cpu" show\ncomplete traces',
} as const;
export type LogItem = keyof typeof LOG_ITEMS;

const enabled = new Set<LogItem>();
const onceSeen = new Set<string>();
let sink: (text: string) => void = () => {};

export function setLogSink(write: (text: string) => void): void {
  sink = write;
}
export function setLogItems(items: Iterable<LogItem>): void {
  enabled.clear();
  for (const item of items) enabled.add(item);
}
export function isLogged(item: LogItem): boolean {
  return enabled.has(item);
}
/** Writes `text` and a newline when `item` is selected. */
export function log(item: LogItem, text: string | (() => string)): void {
  if (enabled.has(item)) sink(`${typeof text === 'string' ? text : text()}\n`);
}
/** The guest did something that the hardware defines no use for. */
export function guestError(device: string, text: string | (() => string)): void {
  log('guest_errors', () => `${device}: ${typeof text === 'string' ? text : text()}`);
}
/** A thing the hardware has and we do not model yet: said once by name. */
export function unimplemented(device: string, what: string): void {
  if (!enabled.has('unimp')) return;
  const line = `${device}: unimplemented ${what}`;
  if (onceSeen.has(line)) return;
  onceSeen.add(line);
  sink(`${line}\n`);
}
