/** EDID 1.4 with one CTA-861 extension for the monitor that a display device pretends to have (VESA E-EDID standard, release A2). */

export interface MonitorWish {
  /** Preferred size; 0 for the default. */
  readonly xres: number;
  readonly yres: number;
  /** Largest size offered; 0 for no limit. */
  readonly xmax: number;
  readonly ymax: number;
  /** In mHz; 0 for the default. */
  readonly refreshRate: number;
}

export const EDID_BLOCK = 128;
const EDID_BYTES = 2 * EDID_BLOCK;
const DEFAULT = { xres: 1280, yres: 800, refreshRate: 75_000 } as const;
const DOTS_PER_INCH = 100;

/** Sizes with a bit of their own: byte, bit. */
const ESTABLISHED = [
  [640, 480, 0, 5],
  [800, 600, 0, 0],
  [1024, 768, 1, 3],
] as const;
/** For the eight "standard timings" and, when those are full, nowhere. */
const STANDARD = [
  [1920, 1200],
  [1920, 1080],
  [1600, 1200],
  [1680, 1050],
  [1440, 900],
  [1280, 1024],
  [1280, 960],
  [1280, 768],
] as const;
/** CTA-861 video codes. */
const VIDEO_CODES = [
  [1920, 1080, 16],
  [1280, 720, 4],
  [720, 480, 3],
  [640, 480, 1],
  [3840, 2160, 97],
] as const;

/** A 5:4, 4:3, 16:10 or 16:9 size in two bytes; null when it cannot be said. */
function standardTiming(width: number, height: number): readonly [number, number] | null {
  const aspect = [
    [16, 10],
    [4, 3],
    [5, 4],
    [16, 9],
  ].findIndex(([w, h]) => width * h! === height * w!);
  return aspect < 0 || width < 256 || width > 2288 || width % 8 ? null : [width / 8 - 31, aspect << 6];
}

function detailedTiming(width: number, height: number, refreshMilliHz: number, widthMm: number, heightMm: number) {
  // Blanking by rule of thumb, as CVT-like modes have it.
  const hFront = Math.ceil(width * 0.25);
  const hSync = Math.ceil(width * 0.03);
  const hBlank = Math.ceil(width * 0.35);
  const vFront = Math.ceil(height * 0.005);
  const vSync = Math.ceil(height * 0.005);
  const vBlank = Math.ceil(height * 0.035);
  const clock10kHz = Math.round((refreshMilliHz * (width + hBlank) * (height + vBlank)) / 1000 / 10_000);
  if (width > 4095 || height > 4095 || clock10kHz > 0xffff) return null;
  return [
    clock10kHz & 0xff,
    clock10kHz >> 8,
    width & 0xff,
    hBlank & 0xff,
    ((width >> 8) << 4) | (hBlank >> 8),
    height & 0xff,
    vBlank & 0xff,
    ((height >> 8) << 4) | (vBlank >> 8),
    hFront & 0xff,
    hSync & 0xff,
    ((vFront & 15) << 4) | (vSync & 15),
    ((hFront >> 8) << 6) | ((hSync >> 8) << 4) | ((vFront >> 4) << 2) | (vSync >> 4),
    widthMm & 0xff,
    heightMm & 0xff,
    ((widthMm >> 8) << 4) | (heightMm >> 8),
    0,
    0,
    0x18, // digital, separate sync
  ];
}

/** A display descriptor with a text. */
function textDescriptor(tag: number, text: string): number[] {
  const body = Array.from({ length: 13 }, (_, i) =>
    i < text.length ? text.charCodeAt(i) : i === text.length ? 0x0a : 0x20,
  );
  return [0, 0, 0, tag, 0, ...body];
}

function setChecksum(block: Uint8Array): void {
  block[EDID_BLOCK - 1] = 0;
  block[EDID_BLOCK - 1] = -block.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** The monitor's description as the guest reads it, 256 bytes. */
export function makeEdid(wish: MonitorWish): Uint8Array {
  const width = Math.min(wish.xres || DEFAULT.xres, 0xffff);
  const height = Math.min(wish.yres || DEFAULT.yres, 0xffff);
  const refresh = wish.refreshRate || DEFAULT.refreshRate;
  const fits = (w: number, h: number) => (!wish.xmax || w <= wish.xmax) && (!wish.ymax || h <= wish.ymax);
  const widthMm = Math.min(4095, Math.round((width * 25.4) / DOTS_PER_INCH));
  const heightMm = Math.min(4095, Math.round((height * 25.4) / DOTS_PER_INCH));
  const edid = new Uint8Array(EDID_BYTES);
  edid.set([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], 0);
  const vendor = Array.from('RHT', (letter) => letter.charCodeAt(0) - 64).reduce(
    (word, letter) => (word << 5) | letter,
    0,
  );
  edid.set([vendor >> 8, vendor & 0xff, 0x34, 0x12, 0, 0, 0, 0, 42, 2014 - 1990, 1, 4], 8);
  // Digital, 8 bits per colour, DisplayPort; size in cm; gamma 2.2; sRGB, preferred timing first, continuous frequencies.
  const cm = (mm: number) => Math.min(255, Math.round(mm / 10));
  edid.set([0xa5, cm(widthMm), cm(heightMm), 120, 0x06 | 0x01], 20);
  edid.set([0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 25); // sRGB's corners
  for (const [w, h, byte, bit] of ESTABLISHED) if (fits(w, h)) edid[35 + byte]! |= 1 << bit;
  const standard = STANDARD.filter(([w, h]) => fits(w, h)).map(([w, h]) => standardTiming(w, h));
  const said = standard.filter((timing) => timing !== null);
  for (let i = 0; i < 8; i++) edid.set(said[i] ?? [1, 1], 38 + 2 * i);
  const detailed = detailedTiming(width, height, refresh, widthMm, heightMm);
  const descriptors = [
    ...(detailed ? [detailed] : []),
    [0, 0, 0, 0xfd, 0, 50, 125, 30, 160, Math.ceil(2_380), 1, 10, 32, 32, 32, 32, 32, 32].map((byte) =>
      Math.min(255, byte),
    ),
    textDescriptor(0xfc, 'QEMU Monitor'),
    [0, 0, 0, 0xf7, 0, 10, 0, 0x4a, 0xa2, 0x24, 0x29, 0x82, 0, 0, 0, 0, 0, 0],
    textDescriptor(0x10, ''),
  ].slice(0, 4);
  descriptors.forEach((bytes, i) => {
    edid.set(bytes, 54 + 18 * i);
  });
  edid[126] = 1;
  setChecksum(edid.subarray(0, EDID_BLOCK));

  const codes = VIDEO_CODES.filter(([w, h]) => fits(w, h)).map(([, , code]) => code);
  const extension = edid.subarray(EDID_BLOCK);
  extension.set([0x02, 0x03, 5 + codes.length, 0, (2 << 5) | codes.length, ...codes], 0);
  setChecksum(extension);
  return edid;
}
