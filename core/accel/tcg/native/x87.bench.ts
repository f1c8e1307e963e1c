/** `node core/accel/tcg/native/x87.bench.ts`: nanoseconds that an x87 instruction takes in a guest's loop, in the interpreter and in the JIT. */
import { FIELDS } from '../../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from '../testing.ts';

const bytes = (hex: string) => Uint8Array.from(hex.replaceAll(' ', '').match(/../g)!, (b) => Number.parseInt(b, 16));
/** Loop bodies; the stack has 1.2 and 0.7 and must look the same afterwards. */
const BODIES: Record<string, readonly [instructions: number, hex: string]> = {
  'fadd st,st1; fsub st,st1': [2, 'd8c1 d8e1'],
  'fmul st,st1; fdiv st,st1': [2, 'd8c9 d8f1'],
  'fadd m64; fsub m64': [2, 'dc0500300000 dc2500300000'],
  'fld st0; fstp st1': [2, 'd9c0 ddd9'],
  'fld m64; fstp m64': [2, 'dd0500300000 dd1d10300000'],
  'fld m80; fstp m80': [2, 'db2d20300000 db3d30300000'],
  'fild m32; fistp m32': [2, 'db0540300000 db1d40300000'],
  'fxch; fxch': [2, 'd9c9 d9c9'],
  'fcom; fnstsw ax': [2, 'd8d1 dfe0'],
  'fucomi; fchs; fchs': [3, 'dbe9 d9e0 d9e0'],
  'fld st0; fsqrt; fstp st0': [3, 'd9c0 d9fa ddd8'],
  'fld st0; fsincos; fstp; fstp': [4, 'd9c0 d9fb ddd8 ddd8'],
  'fld st0; fld st0; fpatan; fstp': [4, 'd9c0 d9c0 d9f3 ddd8'],
  'fld st1; fld st1; fyl2x; fstp': [4, 'd9c1 d9c1 d9f1 ddd8'],
};
const only = process.argv[2] ? new RegExp(process.argv[2]) : /./;
for (const [name, [count, body]] of Object.entries(BODIES)) {
  if (!only.test(name)) continue;
  const results = (['off', 'on'] as const).map((jit) => {
    const m = bareMachine(1 << 20, { jit });
    enterFlat32(m, 0x1000);
    const view = new DataView(m.ram.buffer, m.ram.byteOffset);
    view.setFloat64(0x3000, 0.7, true);
    view.setUint32(0x3024, 0x9000_0000, true);
    view.setUint16(0x3028, 0x3fff, true);
    view.setUint32(0x3040, 12345, true);
    m.ram.set(bytes('9bdbe3 dd0500300000 d9e8'), 0x1000);
    // Eight times the body, then dec ecx; jnz.
    const code = bytes(`${body}`.repeat(8));
    const start = 0x1000 + 11;
    m.ram.set(code, start);
    const back = -(code.length + 7);
    m.ram.set([0x49, 0x0f, 0x85, back & 0xff, (back >> 8) & 0xff, 0xff, 0xff, 0xf4], start + code.length);
    m.cpu.state.setReg32(1, 0x7fff_ffff);
    const rates: number[] = [];
    for (let i = 0; i < 12; i++) {
      const before = performance.now();
      const executed = m.cpu.executed;
      m.cpu.run(/fsincos|fpatan|fyl2x/.test(name) ? 60_000 : 1_000_000);
      const loops = (m.cpu.executed - executed) / (8 * count + 2);
      rates.push(((performance.now() - before) * 1e6) / loops / 8 / count);
    }
    if (m.cpu.state.low(FIELDS.fpuTop) !== 6) throw new Error(`${name}: stack is off`);
    return Math.min(...rates);
  });
  console.log(`${name.padEnd(32)} ${results.map((r) => r.toFixed(1).padStart(8)).join(' ')} ns an instruction`);
}
