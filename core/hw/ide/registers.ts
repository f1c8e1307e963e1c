/** Registers and bits of the ATA task file (ATA/ATAPI-6, d1410r3b) and of bus-master IDE. */
export const STATUS = { error: 0x01, drq: 0x08, seek: 0x10, fault: 0x20, ready: 0x40, busy: 0x80 } as const;
export const ERROR = { abort: 0x04, idNotFound: 0x10, mediaChange: 0x20, uncorrectable: 0x40 } as const;
export const CONTROL = { noInterrupt: 0x02, softReset: 0x04, highOrder: 0x80 } as const;
export const SELECT = { lba: 0x40, unit: 0x10, fixed: 0xa0, head: 0x0f } as const;
export const FEATURE = { dma: 0x01, overlap: 0x02 } as const;
/** Bits of the sector count register while a packet command runs. */
export const REASON = { command: 0x01, toHost: 0x02, mask: 0x07 } as const;

export const SECTOR = 512;
export const CD_SECTOR = 2048;
export const MAX_MULTIPLE = 16;

/** Sense keys and additional codes that a CD drive gives (MMC-6, annex F). */
export const SENSE = {
  none: 0,
  notReady: 2,
  mediumError: 3,
  illegalRequest: 5,
  unitAttention: 6,
  abortedCommand: 11,
} as const;
export const ASC = {
  none: 0x00,
  unrecoveredRead: 0x11,
  illegalOpcode: 0x20,
  blockOutOfRange: 0x21,
  invalidField: 0x24,
  mediumChanged: 0x28,
  incompatibleFormat: 0x30,
  savingNotSupported: 0x39,
  noMedium: 0x3a,
  removalPrevented: 0x53,
} as const;
