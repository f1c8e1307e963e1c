/** All QMP commands. */

import type { QmpCommand } from '../command.ts';
import { QMP_CAPABILITIES } from '../qmp-session.ts';
import { BLOCK_COMMANDS } from './block.ts';
import { DISPLAY_COMMANDS } from './display.ts';
import { MACHINE_COMMANDS } from './machine.ts';
import { MISC_COMMANDS } from './misc.ts';
import { QOM_COMMANDS } from './qom.ts';

export const QMP_COMMANDS: readonly QmpCommand[] = [
  QMP_CAPABILITIES,
  ...MACHINE_COMMANDS,
  ...BLOCK_COMMANDS,
  ...QOM_COMMANDS,
  ...DISPLAY_COMMANDS,
  ...MISC_COMMANDS,
];
