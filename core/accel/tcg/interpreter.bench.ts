/** `node core/accel/tcg/interpreter.bench.ts`: what making a CPU costs and how many million guest instructions a second it runs. */
import { bareMachine, enterFlat32, hexBytes } from './testing.ts';

const LOOPS: Record<string, string> = {
  // 1: add eax,ecx; xor eax,0x55; lea edx,[eax+ecx*2+3]; sub ebx,edx; dec ecx; jnz 1b; jmp start
  registers: 'b9ffffff7f 01c8 83f055 8d544803 29d3 49 75f2 ebeb',
  // 1: mov eax,[ecx+0x2000]; add [0x3000],eax; mov edx,[esp+4]; movzx ebx,[esi+ecx]; mov [0x4000],bl; and ecx,0xffff;
  //    push ecx; pop edi; dec ecx; jmp 1b
  memory: '8b8100200000 010500300000 8b542404 0fb61c0e 881d00400000 81e1ffff0000 51 5f 49 ebdb',
  // 1: call f; dec ecx; jnz 1b; jmp 1b; f: push ebp; mov ebp,esp; mov eax,[ebp+4]; leave; ret
  calls: 'e805000000 49 75f8 ebf6 55 89e5 8b4504 c9 c3',
  // crc32 step over a buffer: mov dl,[esi]; inc esi; and esi,0xffff; mov eax,edi; xor al,dl; movzx eax,al;
  //    shr edi,8; xor edi,[eax*4+0x20000]; jmp 1b
  crc32: '8a16 46 81e6ffff0000 89f8 30d0 0fb6c0 c1ef08 333c8500000200 ebe4',
};

/** Least that is accepted, in million instructions a second. */
const BARS: Record<string, number> = { registers: 150, memory: 100 };
let failed = false;

const started = performance.now();
const first = bareMachine(4 << 20);
enterFlat32(first, 0x1000);
first.ram.set(hexBytes('90f4'), 0x1000);
first.cpu.run(10);
console.log(`CPU made and first block run: ${(performance.now() - started).toFixed(1)} ms`);

for (const [name, hex] of Object.entries(LOOPS)) {
  const m = bareMachine(4 << 20);
  enterFlat32(m, 0x1000);
  m.ram.set(hexBytes(hex), 0x1000);
  const rates: number[] = [];
  for (let i = 0; i < 12; i++) {
    const before = performance.now();
    const count = m.cpu.executed;
    m.cpu.run(5_000_000);
    rates.push((m.cpu.executed - count) / (performance.now() - before) / 1000);
  }
  const bar = BARS[name] ?? 0;
  if (Math.max(...rates) < bar) failed = true;
  console.log(
    `${name.padEnd(10)} first ${rates[0]!.toFixed(0).padStart(4)}  best ${Math.max(...rates)
      .toFixed(0)
      .padStart(4)} MIPS`,
  );
}
if (failed) throw new Error('slower than the bar');
