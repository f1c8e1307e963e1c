/** Config files of -readconfig: `[group "id"]` or `[group]`, then `key = "value"` lines; `#` begins a comment line. */

import { LocatedError } from './location.ts';

export interface ConfigGroup {
  readonly group: string;
  readonly id: string | undefined;
  readonly settings: readonly (readonly [string, string])[];
  /** The group's last line: where its mistakes are reported. */
  readonly line: number;
}

/** Reads the groups one by one, so that a mistake further down is reported after those above it. */
export function* parseConfigFile(file: string, text: string): Generator<ConfigGroup> {
  let open: { group: string; id: string | undefined; settings: [string, string][] } | undefined;
  let line = 0;
  let reported = 0;
  for (const content of text.split('\n')) {
    line++;
    if (content === '' || content.startsWith('#')) continue;
    const header = /^\[([^\s\]]{1,63})(?: +"([^"]{1,63})")?\s*\]/.exec(content);
    if (header) {
      if (open) yield { ...open, line: reported };
      open = { group: header[1]!, id: header[2], settings: [] };
      continue;
    }
    reported = line;
    const setting = /^\s*(\S{1,63})\s*=\s*"([^"]{0,1023})"/.exec(content);
    if (!setting) throw new LocatedError({ kind: 'file', file, line }, 'parse error');
    if (!open) throw new LocatedError({ kind: 'file', file, line }, 'no group defined');
    open.settings.push([setting[1]!, setting[2]!]);
  }
  if (open) yield { ...open, line: reported };
}
