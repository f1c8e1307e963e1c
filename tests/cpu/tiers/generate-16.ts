/** The same for 16-bit code: 16-bit addresses and operands with prefixes in both directions, segment registers, far transfers, IP that
 *  goes round at 64 KiB. */
import { Random } from '../../hostility/random.ts';
import { type Flavour, FORMS, type Form, Generator, groupsOf, type MemoryBytes, pointer, word } from './generate.ts';
import { type Fix, type Item, type Program, randomStart } from './program.ts';
import { DATA, FIRST_ESP, PAGE, REAL, SELECTOR } from './world.ts';

/** VEX is #UD outside of protected mode, or LES and LDS. */
const GROUPS = groupsOf(
  FORMS.filter((f) => f.vex === null),
  8,
);
const half = (n: number) => [n & 0xff, (n >>> 8) & 0xff];
/** The registers of an address by its r/m field, base first. */
const BASES = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]] as const;
const FS = 4;
/** Where the segments of 16-bit programs lie. */
export const MODES16 = ['real', 'unreal', 'vm86', 'protected16'] as const;
export type Mode16 = (typeof MODES16)[number];

/** Where a seed's program runs, and in which mode. */
export interface Placement {
  readonly mode: Mode16;
  /** Base of CS. */
  readonly base: number;
  /** IP of the program's first byte. */
  readonly ip: number;
  readonly start: number;
}
export function placementOf(seed: number): Placement {
  const random = new Random(seed ^ 0x1616);
  const start = randomStart(random);
  const mode = random.pick(MODES16);
  const base = REAL.code + 16 * (random.chance(0.3) ? 0 : random.below(255));
  // Now and then the code runs over the end of the segment.
  const around = (0x1_0000 - start - random.between(5, 200)) & 0xffff;
  const ip = random.chance(0.4) ? around : random.pick([0, 0, 0x1000, 0x4560, 0xd000, 0x10000 - PAGE]);
  return { mode, base, ip, start };
}

class Generator16 extends Generator {
  protected override readonly groups = GROUPS;
  protected override readonly relative: Fix = 'rel16';
  protected override readonly address: Fix = 'abs16';
  protected override readonly hole = [0, 0];
  private readonly place: Placement;

  constructor(random: Random, flavour: Flavour, room: number, place: Placement) {
    super(random, flavour, room);
    this.place = place;
  }

  // -- encodings -------------------------------------------------------------------------------------------------------------------

  protected override absolute(field: number, at: number): number[] {
    return [field | 6, ...half(at)];
  }
  protected override moveImmediate(reg: number, value: number): number[] {
    return [0xb8 + reg, ...half(value)];
  }
  protected override immediate(value: number): number[] {
    return half(value);
  }
  protected override sizePrefix(isWord: boolean): number[] {
    return isWord ? [] : [0x66];
  }
  protected override choosesWord(form: Form): boolean {
    return form.prefix !== 0 || this.random.chance(0.65);
  }
  protected override loadFrom(value: number, opcode: readonly number[], field: number, what: string): void {
    const at = DATA + 0x40;
    const bytes = [0x66, 0xc7, ...this.absolute(0, at), ...word(value), ...opcode, ...this.absolute(field, at)];
    this.add({ what, bytes });
  }
  /** All 32 bits of a register. */
  private moveWide(reg: number, value: number): number[] {
    return [0x66, 0xb8 + reg, ...word(value)];
  }

  protected override memory(reg: number, used: readonly number[]): MemoryBytes {
    const { random, counters } = this;
    const field = reg << 3;
    const at = pointer(random, this.flavour) & 0xffff;
    const mayLoad = (r: number) => !counters.includes(r) && !used.includes(r);
    if (random.chance(0.2)) return this.wideMemory(field, at, mayLoad);
    if (random.chance(0.2)) return { before: [], bytes: this.absolute(field, at) };
    const rm = random.pick([0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 7]);
    const [base, index] = BASES[rm] as readonly [number, number?];
    const before: number[] = [];
    if (mayLoad(base) && random.chance(0.4)) before.push(...this.moveImmediate(base, at));
    if (index !== undefined && mayLoad(index) && random.chance(0.4))
      before.push(...this.moveImmediate(index, random.below(96) - 32));
    const shift = random.below(64) - 24;
    const kind = random.below(8);
    if (kind < 3 && rm !== 6) return { before, bytes: [field | rm] };
    if (kind < 7) return { before, bytes: [field | 0x40 | rm, shift & 0xff] };
    return { before, bytes: [field | 0x80 | rm, ...half(shift)] };
  }
  /** Through an address of 32 bits. */
  private wideMemory(field: number, at: number, mayLoad: (reg: number) => boolean): MemoryBytes {
    const { random } = this;
    const prefixes = [0x67];
    const kind = random.below(6);
    if (kind === 0) return { prefixes, before: [], bytes: [field | 5, ...word(at)] };
    if (kind === 1) return { prefixes, before: [], bytes: [field | 0x44, 0x24, random.below(16) * 4] };
    const base = random.pick(this.pointers);
    // Beyond 64 KiB only where segments are larger.
    const before = mayLoad(base) ? this.moveWide(base, random.chance(0.9) ? at : REAL.data + at) : [];
    const shift = random.below(64) - 24;
    if (kind === 2) return { prefixes, before, bytes: [field | base] };
    if (kind === 3) return { prefixes, before, bytes: [field | 0x40 | base, shift & 0xff] };
    if (kind === 4) return { prefixes, before, bytes: [field | 0x80 | base, ...word(shift)] };
    const sib = (random.below(4) << 6) | (random.below(8) << 3) | base;
    return { prefixes, before, bytes: [field | 0x44, sib, shift & 0xff] };
  }

  // -- what programs do ------------------------------------------------------------------------------------------------------------

  protected override forward(): void {
    const { random } = this;
    const kind = random.below(40);
    // 32-bit branches do not go round at 64 KiB.
    if (kind === 0) this.branch([0x66, 0xe9, 0, 0, 0, 0], 2, 'rel32', this.later(), 'jmp rel32');
    else if (kind === 1)
      this.branch([0x66, 0x0f, 0x80 + random.below(16), 0, 0, 0, 0], 3, 'rel32', this.later(), 'jcc rel32');
    else if (kind === 2) this.branch([0x67, 0xe3, 0], 2, 'rel8', this.later(), 'jecxz');
    else if (kind < 6) this.far();
    else super.forward();
  }
  /** Far and back to the same code. */
  private far(): void {
    const { random } = this;
    const label = this.later();
    const code = half(this.place.mode === 'protected16' ? SELECTOR.userCode16 : this.place.base >>> 4);
    const kind = random.below(6);
    if (kind === 0) this.branch([0xea, 0, 0, ...code], 1, 'abs16', label, 'jmp far');
    else if (kind === 1) this.branch([0x9a, 0, 0, ...code], 1, 'abs16', label, 'call far');
    else if (kind === 2) this.branch([0x0e, 0x68, 0, 0, 0xcb], 2, 'abs16', label, 'push cs, push, retf');
    else if (kind === 3) this.branch([0x9c, 0x0e, 0x68, 0, 0, 0xcf], 3, 'abs16', label, 'pushf, push cs, push, iret');
    else if (kind === 4)
      this.branch([0x66, 0x9c, 0x66, 0x0e, 0x66, 0x6a, 0, 0x66, 0xcf], 6, 'rel8', label, 'iretd to nowhere');
    else {
      const at = DATA + 8 * random.below(64);
      const store = [0xc7, ...this.absolute(0, at + 2), ...code, 0xc7, ...this.absolute(0, at), 0, 0];
      const jump = [0xff, ...this.absolute(random.chance(0.5) ? 0x28 : 0x18, at)];
      this.branch([...store, ...jump], store.length - 2, 'abs16', label, 'far [mem]');
    }
  }

  protected override stack(): void {
    const { random } = this;
    const kind = random.below(8);
    const b = this.freeRegister();
    if (kind === 0) this.add({ what: 'push pop', bytes: [0x66, 0x50 + random.below(8), 0x66, 0x58 + b] });
    else if (kind === 1) this.add({ what: 'push pop', bytes: [0x68, ...half(random.value()), 0x58 + b] });
    else if (kind === 2) {
      // PUSH, AND of what was pushed through ESP, POPF.
      const keep = half(random.chance(0.2) ? 0x7fd5 : 0x4cd5);
      const bytes = [0x50 + random.below(8), 0x67, 0x81, 0x24, 0x24, ...keep, 0x9d];
      this.add({ what: 'popf', bytes });
    } else if (kind === 3) {
      const down = random.between(1, 16) * 2;
      this.add({ what: 'sub sp', bytes: [0x83, 0xec, down] });
      this.plain();
      this.add({ what: 'add sp', bytes: [0x83, 0xc4, down] });
    } else if (kind === 4 && this.counters.length === 0) {
      this.add({ what: 'frame', bytes: random.chance(0.5) ? [0x55, 0x89, 0xe5] : [0xc8, 8, 0, 0] });
      this.plain();
      this.add({ what: 'leave', bytes: random.chance(0.5) ? [0xc9] : [0x89, 0xec, 0x5d] });
    } else if (kind === 5) this.add({ what: 'pushf pop', bytes: [0x9c, 0x58 + b] });
    else if (kind === 6 && random.chance(0.2))
      // At the ends of the segment.
      this.add({
        what: 'odd sp',
        bytes: [0xbc, ...half(random.pick([0, 1, 2, 3, 4, 0xfffe, 0xffff])), 0x50, 0x58 + b],
      });
    else this.add({ what: 'pusha popa', bytes: random.chance(0.5) ? [0x66, 0x60, 0x66, 0x61] : [0x60, 0x61] });
  }

  protected override point(): void {
    const { random } = this;
    const free = this.pointers.filter((r) => !this.counters.includes(r));
    const kind = random.below(10);
    if (kind < 4) this.loadSegment();
    else if (kind < 6 && free.length > 0) {
      const at = pointer(random, this.flavour) & 0xffff;
      const top = random.pick([0, 0, 0x1_0000, 0xffff_0000]);
      this.add({ what: 'point', bytes: this.moveWide(random.pick(free), at + top) });
    } else super.point();
  }
  private selector(): number {
    const { random } = this;
    if (this.place.mode === 'protected16')
      return random.pick([
        SELECTOR.data16,
        SELECTOR.data16,
        SELECTOR.odd16,
        SELECTOR.odd16,
        SELECTOR.small16,
        SELECTOR.down16,
        SELECTOR.userData,
        SELECTOR.kernelData,
        SELECTOR.userCode16,
        0,
      ]);
    return (REAL.data >>> 4) + random.pick([0, 0, 0, 1, 2, 0x100, 0x4ff]);
  }
  private loadSegment(): void {
    const { random } = this;
    const index = random.pick([0, 0, 0, 3, 3, 5, 5, 2]);
    const selector = this.selector();
    const reg = this.freeRegister();
    const at = DATA + 8 * random.below(64);
    const kind = random.below(6);
    const pop = [[0x07], [0x0f], [0x17], [0x1f], [0x0f, 0xa1], [0x0f, 0xa9]][index]!;
    const what = 'segment';
    if (kind < 2) this.add({ what, bytes: [...this.moveImmediate(reg, selector), 0x8e, 0xc0 | (index << 3) | reg] });
    else if (kind === 2) this.add({ what, bytes: [0x68, ...half(selector), ...pop] });
    else if (kind === 3) {
      const store = [0xc7, ...this.absolute(0, at + 2), ...half(selector)];
      const load = [[0xc4], [0xc4], [0x0f, 0xb2], [0xc5], [0x0f, 0xb4], [0x0f, 0xb5]][index]!;
      this.add({ what, bytes: [...store, ...load, ...this.absolute(reg << 3, at)] });
    } else if (kind === 4) this.add({ what, bytes: [0x8c, 0xc0 | (random.below(6) << 3) | reg, 0x8e, 0xc0 | reg] });
    else {
      const store = [0xc7, ...this.absolute(0, at), ...half(selector)];
      this.add({ what, bytes: [...store, 0x8e, ...this.absolute(index << 3, at)] });
    }
  }
  protected override segment(): void {
    this.loadSegment();
  }

  /** Through FS, which begins where CS does. */
  protected override rewrite(): void {
    const { random } = this;
    const label = this.labels++;
    const reg = this.freeRegister();
    const isAhead = random.chance(0.6);
    const victim: Item = { what: 'victim', bytes: this.moveImmediate(reg, random.value()), label };
    if (!isAhead) this.add(victim);
    const width = random.below(3);
    const what = 'rewrite';
    const fix = { kind: 'abs16', label, add: 1 + (width === 0 ? random.below(2) : 0), at: 3 } as const;
    const prefix = 0x60 + FS;
    if (width === 0) this.add({ what, bytes: [prefix, 0xc6, 6, 0, 0, random.below(256)], fix });
    else if (width === 1) this.add({ what, bytes: [prefix, 0x89, (random.below(8) << 3) | 6, 0, 0], fix });
    else this.add({ what, bytes: [prefix, 0xff, 6, 0, 0], fix });
    if (!isAhead) return;
    for (let i = random.below(4); i > 0; i--) this.plain();
    this.add(victim);
  }
}

/** The 16-bit program of a seed. */
export function generate16(seed: number, flavour: Flavour): Program {
  const place = placementOf(seed);
  const random = new Random(seed);
  const regs = Array.from({ length: 8 }, (_, i) =>
    [3, 6, 7].includes(i) ? pointer(random, flavour) & 0xffff : random.value(),
  );
  regs[4] = FIRST_ESP & 0xffff;
  regs[5] = FIRST_ESP & 0xffff;
  const eflags = 0x202 | (random.u32() & 0x8d5) | (random.chance(0.5) ? 0x3000 : 0);
  const generator = new Generator16(random, flavour, random.between(4, 60), place);
  generator.generate();
  return { seed, ip: place.ip, regs, eflags, start: place.start, items: generator.items };
}
