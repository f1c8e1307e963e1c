/** Where the beam is: input status 1 from the CRTC's counts, the dot clock and guest time. */
import { CR, SR, type VgaState } from './vga-registers.ts';

const DISPLAY_DISABLED = 0x01;
const VERTICAL_RETRACE = 0x08;
const DOT_CLOCKS_HZ = [25_175_000, 28_322_000] as const;
/** Used while the CRTC is not programmed: 640 x 480 at 60 Hz. */
const FALLBACK = {
  characters: 100,
  displayed: 80,
  lines: 525,
  visible: 480,
  retraceStart: 490,
  retraceLines: 2,
  lineNs: 31_778,
};

interface Timing {
  readonly characters: number;
  readonly displayed: number;
  readonly lines: number;
  readonly visible: number;
  readonly retraceStart: number;
  readonly retraceLines: number;
  readonly lineNs: number;
}

function timingOf({ cr, sr, msr }: VgaState): Timing {
  const overflow = cr[CR.overflow]!;
  const high = (bit8: number, bit9: number) => (overflow & bit8 ? 0x100 : 0) | (overflow & bit9 ? 0x200 : 0);
  const characters = cr[CR.horizontalTotal]! + 5;
  const displayed = cr[CR.horizontalEnd]! + 1;
  const lines = (cr[CR.verticalTotal]! | high(0x01, 0x20)) + 2;
  const visible = (cr[CR.verticalEnd]! | high(0x02, 0x40)) + 1;
  const retraceStart = cr[CR.retraceStart]! | high(0x04, 0x80);
  // Nonsense has no beam: a mode that was never set, or one that only the VBE registers describe.
  if (displayed >= characters || visible >= lines || retraceStart < visible || retraceStart >= lines) return FALLBACK;
  const dots = sr[SR.clocking]! & 1 ? 8 : 9;
  const clock = (DOT_CLOCKS_HZ[(msr >> 2) & 3] ?? DOT_CLOCKS_HZ[0]) / (sr[SR.clocking]! & 8 ? 2 : 1);
  const retraceLines = (cr[CR.retraceEnd]! - retraceStart) & 0x0f || 16;
  return {
    characters,
    displayed,
    lines,
    visible,
    retraceStart,
    retraceLines,
    lineNs: (characters * dots * 1e9) / clock,
  };
}

/** Input status 1 at a moment of guest time. A VBE mode has no CRTC timing of its own: the beam then runs at 60 Hz. */
export function retraceStatus(state: VgaState, isVbeEnabled: boolean, nowNs: number): number {
  const timing = isVbeEnabled ? FALLBACK : timingOf(state);
  const position = nowNs / timing.lineNs;
  const line = Math.floor(position) % timing.lines;
  const character = (position % 1) * timing.characters;
  let status = 0;
  if (line >= timing.visible || character >= timing.displayed) status |= DISPLAY_DISABLED;
  if (line >= timing.retraceStart && line < timing.retraceStart + timing.retraceLines) status |= VERTICAL_RETRACE;
  return status;
}
