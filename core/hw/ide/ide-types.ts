/** The types of this folder, for the catalog. */
import { ideBusType } from './ide-bus.ts';
import { ideDeviceTypes } from './ide-devices.ts';
import { pciIdeType, piix3IdeType } from './piix3-ide.ts';

export const ideTypes = [ideBusType, ...ideDeviceTypes, pciIdeType, piix3IdeType];
