/** `-help` and `-version`: laid out as QEMU's, from the option table. */

import { OPTION_TABLE, type OptionEntry, SECTIONS } from './option-table.ts';

/** Column at which a description begins. */
const HELP_COLUMN = 16;

/** What the program calls itself. */
export interface ProgramIdentity {
  readonly program: string;
  readonly version: string;
}

export function versionText(identity: ProgramIdentity): string {
  return `Terrarium emulator version ${identity.version}\nCopyright (c) 2026 Terrarium contributors\n`;
}

export function helpText(identity: ProgramIdentity): string {
  const sections = SECTIONS.map((section) => {
    const entries = OPTION_TABLE.filter((entry) => entry.supported && entry.section === section);
    return `${section}:\n${entries.map(entryText).join('')}\n`;
  });
  return [
    versionText(identity),
    `usage: ${identity.program} [options] [disk_image]\n\n`,
    "'disk_image' is a raw hard disk image for IDE hard disk 0\n\n",
    ...sections,
    "When using -nographic, press 'ctrl-a h' to get some help.\n",
  ].join('');
}

/** A short form and its description share a line; a long one stands alone with the description under it. */
function entryText(entry: OptionEntry): string {
  const forms = entry.forms ?? [];
  const help = entry.help ?? [];
  const indented = (line: string): string => `${' '.repeat(HELP_COLUMN)}${line}\n`;
  const only = forms.length === 1 ? forms[0]! : undefined;
  if (only !== undefined && only.length < HELP_COLUMN && help[0] !== undefined) {
    return `${only.padEnd(HELP_COLUMN)}${help[0]}\n${help.slice(1).map(indented).join('')}`;
  }
  return `${forms.map((form) => `${form}\n`).join('')}${help.map(indented).join('')}`;
}
