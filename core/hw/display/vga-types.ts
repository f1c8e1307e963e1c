/** The display devices that exist, for the catalog. */
import { vgaIsaTypes } from './vga-isa.ts';
import { vgaPciTypes } from './vga-pci.ts';

export const vgaTypes = [...vgaPciTypes, ...vgaIsaTypes];
