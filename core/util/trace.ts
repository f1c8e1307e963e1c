/** Trace events (`-trace`): named once where they are raised, selected by glob pattern, printed in QEMU's log form `name arguments`. */

export interface TraceEvent {
  readonly name: string;
  isEnabled: boolean;
}

const events = new Map<string, TraceEvent>();
const patterns: { readonly glob: RegExp; readonly isOn: boolean }[] = [];
let sink: (line: string) => void = () => {};

function globToRegExp(glob: string): RegExp {
  const escaped = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`);
}

/** Declares an event. Declared twice it is the same event, so that a module may be loaded by several tests. */
export function traceEvent(name: string): TraceEvent {
  let event = events.get(name);
  if (!event) {
    event = { name, isEnabled: false };
    for (const { glob, isOn } of patterns) if (glob.test(name)) event.isEnabled = isOn;
    events.set(name, event);
  }
  return event;
}

/** Callers test `event.isEnabled` first where building the arguments costs anything. */
export function trace(event: TraceEvent, text: string): void {
  if (event.isEnabled) sink(text === '' ? event.name : `${event.name} ${text}`);
}

/** Turns matching events on (or off), those declared later too. Returns how many known events match. */
export function setTraceState(pattern: string, isOn: boolean): number {
  const glob = globToRegExp(pattern);
  patterns.push({ glob, isOn });
  let count = 0;
  for (const event of events.values())
    if (glob.test(event.name)) {
      event.isEnabled = isOn;
      count++;
    }
  return count;
}

export function setTraceSink(write: (line: string) => void): void {
  sink = write;
}

export function traceEvents(): TraceEvent[] {
  return [...events.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
