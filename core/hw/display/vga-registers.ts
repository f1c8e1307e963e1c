/** Names of VGA and Bochs VBE registers and bits, and the saved state that every VGA has (IBM PS/2 VGA reference; Bochs VBE extension "dispi"). */
import { array, buffer, type FieldKind, i32, type StateOf, u8, u16, u32, vmstate } from '../../vmstate/fields.ts';

/** Sequencer. */
export const SR = { reset: 0, clocking: 1, planeMask: 2, fontSelect: 3, memoryMode: 4 } as const;
/** Graphics controller. */
export const GR = {
  setReset: 0,
  enableSetReset: 1,
  colourCompare: 2,
  rotate: 3,
  readPlane: 4,
  mode: 5,
  miscellaneous: 6,
  compareMask: 7,
  bitMask: 8,
} as const;
/** CRT controller. */
export const CR = {
  horizontalTotal: 0x00,
  horizontalEnd: 0x01,
  verticalTotal: 0x06,
  overflow: 0x07,
  presetRow: 0x08,
  maxScan: 0x09,
  cursorStart: 0x0a,
  cursorEnd: 0x0b,
  startHigh: 0x0c,
  startLow: 0x0d,
  cursorHigh: 0x0e,
  cursorLow: 0x0f,
  retraceStart: 0x10,
  retraceEnd: 0x11,
  verticalEnd: 0x12,
  offset: 0x13,
  underline: 0x14,
  mode: 0x17,
  lineCompare: 0x18,
} as const;
/** Attribute controller; 0 to 15 are the palette. */
export const AR = { mode: 0x10, overscan: 0x11, planeEnable: 0x12, pan: 0x13, colourSelect: 0x14 } as const;
export const AR_COUNT = 21;

/** Bits that exist, register by register. */
export const SR_MASK = [0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff] as const;
export const GR_MASK = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0, 0, 0, 0, 0, 0, 0] as const;
export const AR_MASK = [...new Array<number>(16).fill(0x3f), 0xef, 0xff, 0x3f, 0x0f, 0x0f] as const;

/** Bochs VBE ("dispi") register numbers. */
export const VBE = {
  id: 0,
  xres: 1,
  yres: 2,
  bpp: 3,
  enable: 4,
  bank: 5,
  virtualWidth: 6,
  virtualHeight: 7,
  xOffset: 8,
  yOffset: 9,
  videoMemory: 10,
} as const;
/** Registers that are stored. */
export const VBE_STORED = 10;
export const VBE_ID0 = 0xb0c0;
export const VBE_ID5 = 0xb0c5;
export const VBE_ENABLE = { enabled: 0x01, getCaps: 0x02, eightBitDac: 0x20, linear: 0x40, noClear: 0x80 } as const;
export const VBE_MAX = { xres: 16000, yres: 12000, bpp: 32 } as const;

/** A byte that must be as expected for the rest to make sense. */
function equalU8(value: number): FieldKind<number> {
  return { ...u8(value), kind: 'uint8 equal' };
}

const VGA_ENDIAN_STATE = vmstate('vga.endian', 1, { big_endian_fb: u8() });
export interface EndianOwner {
  readonly vga: { readonly isBigEndian: boolean; readonly endianState: Record<string, unknown> };
}

export const VGA_COMMON_STATE = vmstate(
  'vga',
  2,
  {
    latch: u32(),
    sr_index: u8(),
    sr: buffer(8),
    gr_index: u8(),
    gr: buffer(16),
    ar_index: u8(),
    ar: buffer(AR_COUNT),
    ar_flip_flop: i32(),
    cr_index: u8(),
    cr: buffer(256),
    msr: u8(),
    fcr: u8(),
    st00: u8(),
    st01: u8(),
    dac_state: u8(),
    dac_sub_index: u8(),
    dac_read_index: u8(),
    dac_write_index: u8(),
    dac_cache: buffer(3),
    palette: buffer(768),
    bank_offset: i32(),
    is_vbe_vmstate: equalU8(1),
    vbe_index: u16(),
    vbe_regs: array(VBE_STORED, u16()),
    vbe_start_addr: u32(),
    vbe_line_offset: u32(),
    vbe_bank_mask: u32(),
  },
  {
    subsections: [
      {
        description: VGA_ENDIAN_STATE,
        needed: (owner) => (owner as EndianOwner).vga?.isBigEndian ?? false,
        state: (owner) => (owner as EndianOwner).vga.endianState,
      },
    ],
  },
);
export type VgaState = StateOf<typeof VGA_COMMON_STATE.fields>;
