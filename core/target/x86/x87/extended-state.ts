/** XSAVE, XSAVEOPT and XRSTOR in their standard form (Intel SDM volume 1, 13.4 to 13.9): x87, SSE and AVX state. Every state counts as
 *  in use and modified, as under QEMU's TCG, so XSAVEOPT stores what XSAVE does. Not modelled: the compacted form. */
import { raise, VECTOR } from '../fault.ts';
import { CR0, CR4, EAX, FIELDS, XCR0 } from '../state.ts';
import { type FloatEnvironment, MXCSR_MASK, vectorCount } from './environment.ts';
import type { UnitContext } from './unit.ts';

/** The area: FXSAVE's image, the header, the upper halves of the vector registers. */
export const XSAVE_AREA = { header: 512, ymm: 576, ymmBytes: 256 } as const;
const XMM = FIELDS.xmm.offset >>> 2;
/** An x87 unit after FINIT, as FXSAVE has it. */
const INITIAL_UNIT = [0x37f, ...Array<number>(39).fill(0)];

export class ExtendedState {
  private readonly ctx: UnitContext;
  private readonly environment: FloatEnvironment;
  constructor(ctx: UnitContext, environment: FloatEnvironment) {
    this.ctx = ctx;
    this.environment = environment;
  }

  /** States that the instruction is about; linear address of the area. */
  private begin(segment: number, offset: number, isWrite: boolean): { at: number; wanted: number } {
    const { state } = this.ctx;
    if (!(state.cr4 & CR4.OSXSAVE)) raise(state, VECTOR.UD);
    if (state.cr0 & CR0.TS) raise(state, VECTOR.NM);
    const wanted = state.xcr0 & state.reg32(EAX);
    const bytes = wanted & XCR0.ymm ? XSAVE_AREA.ymm + XSAVE_AREA.ymmBytes : XSAVE_AREA.ymm;
    const at = this.ctx.segmentAddress(segment, offset, bytes, isWrite);
    if (at & 63) raise(state, VECTOR.GP, 0);
    if (isWrite) this.ctx.memory.probeWrite(at, bytes);
    return { at, wanted };
  }
  /** XSAVE and XSAVEOPT. `isWide`: with REX.W. */
  save(segment: number, offset: number, isWide: boolean): void {
    const { state, memory } = this.ctx;
    const { at, wanted } = this.begin(segment, offset, true);
    const write = (place: number, value: number) => memory.write(at + place, 4, value >>> 0);
    const before = memory.read(at + XSAVE_AREA.header, 4);
    if (wanted & XCR0.x87) this.environment.storeUnit(at, isWide);
    if (wanted & XCR0.avx) {
      write(24, state.mxcsr);
      write(28, MXCSR_MASK);
    }
    for (let i = 0; i < vectorCount(state); i++)
      for (let k = 0; k < 4; k++) {
        if (wanted & XCR0.sse) write(160 + i * 16 + k * 4, state.u32[XMM + i * 16 + k]!);
        if (wanted & XCR0.ymm) write(XSAVE_AREA.ymm + i * 16 + k * 4, state.u32[XMM + i * 16 + 4 + k]!);
      }
    write(XSAVE_AREA.header, (before & ~wanted) | wanted);
  }
  /** XRSTOR: what the header does not name takes its initial value. */
  restore(segment: number, offset: number, isWide: boolean): void {
    const { state, memory } = this.ctx;
    const { at, wanted } = this.begin(segment, offset, false);
    const read = (place: number) => memory.read(at + place, 4);
    const header = Array.from({ length: 6 }, (_, i) => read(XSAVE_AREA.header + 4 * i));
    const there = header[0]!;
    if ((there & ~state.xcr0) !== 0 || header.slice(1).some((word) => word !== 0)) raise(state, VECTOR.GP, 0);
    const mxcsr = wanted & XCR0.avx ? read(24) : state.mxcsr;
    if (mxcsr & ~MXCSR_MASK) raise(state, VECTOR.GP, 0);
    const loads = wanted & there;
    // All of it is read before anything changes.
    const unit = loads & XCR0.x87 ? Array.from({ length: 40 }, (_, i) => read(4 * i)) : INITIAL_UNIT;
    const dwords = (from: number) => Array.from({ length: 4 * vectorCount(state) }, (_, i) => read(from + 4 * i));
    const none = Array<number>(64).fill(0);
    const low = loads & XCR0.sse ? dwords(160) : none;
    const high = loads & XCR0.ymm ? dwords(XSAVE_AREA.ymm) : none;
    if (wanted & XCR0.x87) this.environment.loadUnit(unit, isWide);
    state.mxcsr = mxcsr;
    for (let i = 0; i < vectorCount(state); i++)
      for (let k = 0; k < 4; k++) {
        if (wanted & XCR0.sse) state.u32[XMM + i * 16 + k] = low[i * 4 + k]!;
        if (wanted & XCR0.ymm) state.u32[XMM + i * 16 + 4 + k] = high[i * 4 + k]!;
      }
  }
}
