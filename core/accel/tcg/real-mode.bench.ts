/** `node core/accel/tcg/real-mode.bench.ts`: how many million instructions a second of real-mode code both tiers run. */
import { CS, EBP, EDI, ES, ESI, ESP, SS } from '../../target/x86/state.ts';
import { JIT_MODES } from './jit/jit.ts';
import { bareMachine, hexBytes } from './testing.ts';

const LOOPS: Record<string, string> = {
  // 0: mov cx,0xffff; 1: add ax,cx; xor ax,0x55; lea dx,[bx+si+3]; sub bx,dx; dec cx; jnz 1b; jmp 0b
  registers: 'b9ffff 01c8 83f055 8d5003 29d3 49 75f3 ebee',
  // 1: mov ax,[bx]; add [si+16],ax; mov dx,es:[di]; mov [bp-4],dl; inc bx; and bx,0xfff; push ax; pop dx; mov ax,[0x80]; jmp 1b
  memory: '8b07 014410 268b15 8856fc 43 81e3ff0f 50 5a a18000 ebe9',
  // 1: call f; dec cx; jnz 1b; jmp 1b; f: push bp; mov bp,sp; mov ax,[bp+2]; pop bp; ret
  calls: 'e80500 49 75fa ebf8 55 89e5 8b4602 5d c3',
  // 1: mov dl,[si]; inc si; mov eax,edi; xor al,dl; movzx eax,al; shr edi,8; xor edi,[dword eax*4+0x2000]; jmp 1b
  crc32: '8a14 46 6689f8 30d0 660fb6c0 66c1ef08 6766333c8500200000 ebe5',
  // 1: mov ax,ds; mov es,ax; mov bx,es:[4]; push ds; push ss; pop ds; mov dx,[6]; pop ds; jmp 1b
  segments: '8cd8 8ec0 268b1e0400 1e 16 1f 8b160600 1f ebed',
  // 1: mov si,0x100; mov di,0x800; mov cx,64; rep movsw; mov di,0x900; mov cx,100; rep stosb; jmp 1b
  strings: 'be0001 bf0008 b94000 f3a5 bf0009 b96400 f3aa ebeb',
  // 1: call 0x100:f; int 0x40; jmp 1b; f: inc ax; retf
  far: '9a09000001 cd40 ebf7 40 cb',
};

for (const [name, hex] of Object.entries(LOOPS)) {
  const best = JIT_MODES.filter((mode) => mode === 'off' || mode === 'on').map((jit) => {
    const m = bareMachine(1 << 20, { jit });
    const { state } = m.cpu;
    m.cpu.reset();
    state.segments.forEach((segment, i) => {
      const selector = i === CS ? 0x100 : i === SS ? 0x2000 : i === ES ? 0x3000 : 0x1000;
      segment.set(selector, selector << 4, 0xffff, i === CS ? 0x9b00 : 0x9300);
    });
    state.eip = 0;
    for (const [register, value] of [
      [ESP, 0x8000],
      [EBP, 0x4000],
      [ESI, 0x10],
      [EDI, 0x20],
    ] as const)
      state.setReg32(register, value);
    m.ram.set(hexBytes(hex), 0x1000);
    m.ram[0x1f00] = 0xcf; // iret
    m.view.setUint32(4 * 0x40, 0x0100_0f00, true);
    let rate = 0;
    for (let i = 0; i < 10; i++) {
      const before = performance.now();
      const count = m.cpu.executed;
      m.cpu.run(name === 'far' ? 1_000_000 : 4_000_000);
      rate = Math.max(rate, (m.cpu.executed - count) / (performance.now() - before) / 1000);
    }
    return rate;
  });
  console.log(
    `${name.padEnd(10)} interpreted ${best[0]!.toFixed(1).padStart(6)}  compiled ${best[1]!.toFixed(1).padStart(6)} MIPS`,
  );
}
