/** `node core/accel/tcg/strings.bench.ts [off|on]`: how long REPE CMPS and REPNE SCAS take in a loop, by the bytes that they look at. */
import type { JitMode } from './jit/jit.ts';
import { bareMachine, enterFlat32, enterLong } from './testing.ts';

const word = (n: number) => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24];
const BYTES = [8, 40, 400, 4000, 40_000];
const jit = (process.argv[2] ?? 'on') as JitMode;

for (const isLong of [false, true])
  for (const [name, opcode, isScas] of [
    ['repe cmpsb', [0xf3, 0xa6], false],
    ['repe cmpsd', [0xf3, 0xa7], false],
    ['repne scasb', [0xf2, 0xae], true],
    ['repne scasd', [0xf2, 0xaf], true],
  ] as const) {
    const times = BYTES.map((bytes) => {
      const m = bareMachine(4 << 20, { jit });
      if (isLong) enterLong(m, 0x1000);
      else enterFlat32(m, 0x1000);
      m.ram.fill(7, 0x1_0000, 0x4_0000);
      const size = name.endsWith('d') ? 4 : 1;
      // 1: mov esi, ..; mov edi, ..; mov ecx, ..; repeated instruction; jmp 1b
      m.ram.set(
        [0xbe, ...word(0x1_0040), 0xbf, ...word(0x2_0080), 0xb9, ...word(bytes / size), ...opcode, 0xeb, 0xed],
        0x1000,
      );
      if (isScas) m.ram.fill(0, 0x2_0080 + bytes - size, 0x2_0080 + bytes);
      const each: number[] = [];
      for (let i = 0; i < 8; i++) {
        const before = performance.now();
        const count = m.cpu.executed;
        m.cpu.run(2_000_000);
        each.push(((performance.now() - before) * 1e6) / ((m.cpu.executed - count) / 5));
      }
      return `${bytes} bytes ${Math.min(...each).toFixed(0)} ns`;
    });
    console.log(`${isLong ? 64 : 32} bits ${name.padEnd(12)} ${times.join(', ')}`);
  }
