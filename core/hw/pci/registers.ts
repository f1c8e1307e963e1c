/** Offsets and bits of PCI configuration space (PCI Local Bus Specification 2.3, chapter 6). */
export const CONFIG_SIZE = 256;
export const SLOTS = 32;
export const FUNCTIONS = 8;
/** INTA to INTD. */
export const INTX_PINS = 4;

export const REG = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  progIf: 0x09,
  classDevice: 0x0a,
  cacheLineSize: 0x0c,
  headerType: 0x0e,
  bar0: 0x10,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  rom: 0x30,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
  /** Where the header ends and the device's own registers begin. */
  deviceSpecific: 0x40,
} as const;

export const COMMAND = { io: 0x1, memory: 0x2, master: 0x4, serr: 0x100, intxDisable: 0x400 } as const;
export const STATUS = {
  interrupt: 0x8,
  capabilities: 0x10,
  devselMedium: 0x200,
  fastBack: 0x80,
  /** Errors: cleared by writing ones. */
  errors: 0xf900,
} as const;
export const HEADER_MULTIFUNCTION = 0x80;
export const BAR_TYPE = { io: 1, memory: 0, memory64: 4, prefetch: 8 } as const;
export const ROM_ENABLE = 1;
export const ROM_BAR = 6;
/** Where a BAR that decodes nothing is said to be. */
export const UNMAPPED = 2 ** 64 - 1;

export const slotOf = (devfn: number): number => devfn >> 3;
export const functionOf = (devfn: number): number => devfn & 7;

/** What QEMU calls the classes, by the upper 16 bits of the class code. */
const CLASS_NAMES: Readonly<Record<number, string>> = {
  1: 'VGA controller',
  256: 'SCSI controller',
  257: 'IDE controller',
  258: 'Floppy controller',
  259: 'IPI controller',
  260: 'RAID controller',
  262: 'SATA controller',
  263: 'SAS controller',
  384: 'Storage controller',
  512: 'Ethernet controller',
  513: 'Token Ring controller',
  514: 'FDDI controller',
  515: 'ATM controller',
  640: 'Network controller',
  768: 'VGA controller',
  769: 'XGA controller',
  770: '3D controller',
  896: 'Display controller',
  1024: 'Video controller',
  1025: 'Audio controller',
  1026: 'Phone',
  1027: 'Audio controller',
  1152: 'Multimedia controller',
  1280: 'RAM controller',
  1281: 'Flash controller',
  1408: 'Memory controller',
  1536: 'Host bridge',
  1537: 'ISA bridge',
  1538: 'EISA bridge',
  1539: 'MC bridge',
  1540: 'PCI bridge',
  1541: 'PCMCIA bridge',
  1542: 'NUBUS bridge',
  1543: 'CARDBUS bridge',
  1544: 'RACEWAY bridge',
  1664: 'Bridge',
  1792: 'Serial port',
  1793: 'Parallel port',
  2048: 'Interrupt controller',
  2049: 'DMA controller',
  2050: 'Timer',
  2051: 'RTC',
  2304: 'Keyboard',
  2305: 'Pen',
  2306: 'Mouse',
  2560: 'Dock station',
  2816: 'i386 cpu',
  3072: 'Firewire controller',
  3073: 'Access bus controller',
  3074: 'SSA controller',
  3075: 'USB controller',
  3076: 'Fibre channel controller',
  3077: 'SMBus',
};
export function className(classCode: number): string | undefined {
  return CLASS_NAMES[classCode];
}
