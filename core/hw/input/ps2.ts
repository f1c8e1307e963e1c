/** The PS/2 device types. */
import { ps2DeviceType } from './ps2-device.ts';
import { ps2KbdType } from './ps2-kbd.ts';
import { ps2MouseType } from './ps2-mouse.ts';

export const ps2Types = [ps2DeviceType, ps2KbdType, ps2MouseType];
