/** Makes random programs out of the encodings of the instruction definitions: whatever is defined is tried. */
import { type Encoding, NO_PREFIX, parseEncoding } from '../../../core/target/x86/decode/encoding.ts';
import { INSTRUCTIONS } from '../../../core/target/x86/semantics/index.ts';
import { vexBytes } from '../../../core/target/x86/testing/vex-bytes.ts';
import { Random } from '../../hostility/random.ts';
import { type Fix, type Item, type Program, randomStart } from './program.ts';
import { COUNTERS, DATA, DATA_PAGES, FIRST_ESP, PAGE, PORTABLE, SELECTOR } from './world.ts';

/** `portable`: only what the host does as well, to the bit. `isLong`: 64-bit code. */
export interface Flavour {
  readonly portable: boolean;
  readonly isLong?: boolean;
}

/** Made by hand below, or never: control flow; what answers differently each time or changes the machine for good. */
export const BY_HAND =
  /^(jmp|call|j[a-z]+$|ret|loop|iret|int$|int1|sys|rdrand|rdseed|rsm|invalid|tooLong|monitor|mwait|popf|movToSeg|popSeg|l[defgs]s$|lss|xsave|xrstor|xget|xset)/;
/** The host answers differently, or it is the host's kernel's business. Makers differ in the flags after a fault in the middle of a
 *  repeated comparison: Intel's are those from before (SDM volume 2, REP), AMD's those of the last pair. */
export const NOT_PORTABLE =
  /^(hlt|cmps$|scas$|fstp1|cpuid|rd|wr|s[gil]dt|str|smsw|lmsw|l[gil]dt|ltr|ver[rw]|lar|lsl|arpl|movFromSeg|pushSeg|in[ID]|ins$|inv|out|mov(To|From)[CD]r|cl[ti]|sti|wbinvd|v?rcp|v?rsqrt|f2xm1|fyl2x|fptan|fpatan|fsin|fcos|fnstenv|fldenv|fnsave|frstor|fxsave|fxrstor|clflush|salc|v?ldmxcsr|leave|enter|popa|femms|xlat|v?stmxcsr)/;
/** Reads or writes registers that are not operands. */
const HIDDEN_REGISTERS =
  /^(movs|cmps|stos|lods|scas|ins|outs|pusha|popa|enter|leave|cmpxchg8b|cpuid|rd|maskmov|xlat|aa|da|mul|imul1|div|idiv|cbw|cwd|cmpxchg|lahf|sahf|push|pop|salc|v?pcmp.str)/;
export const STRING = /^(movs|cmps|stos|lods|scas)$/;

export type Form = Encoding & { readonly isPortable: boolean };
export const FORMS: readonly Form[] = INSTRUCTIONS.filter((i) => !BY_HAND.test(i.name)).flatMap((i) =>
  i.encodings.map((text) => {
    const encoding = parseEncoding(i, text);
    return { ...encoding, isPortable: !NOT_PORTABLE.test(i.name) && encoding.vex === null && encoding.suffix < 0 };
  }),
);
export const isVector = (f: Form) => f.operands.some((o) => 'PQTVWUY'.includes(o.letter));
const isX87 = (f: Form) => f.map === 0 && f.opcode >= 0xd8 && f.opcode <= 0xdf;
const isSystem = (f: Form) =>
  /^(hlt|cli|sti|in|out|cpuid|rd|wr|clts|s[gil]dt|str|l[gim]|lldt|ltr|smsw|ver|lar|lsl|arpl|mov(To|From)[CDS]|bound|ud|salc|into|clflush|pushSeg|swapgs)/.test(
    f.instruction.name,
  );
/** Each group as often as its weight says. */
export function groupsOf(all: readonly Form[], vectorWeight: number): readonly (readonly Form[])[] {
  return (
    [
      [62, all.filter((f) => !isVector(f) && !isX87(f) && !isSystem(f) && !STRING.test(f.instruction.name))],
      [6, all.filter((f) => STRING.test(f.instruction.name))],
      [vectorWeight, all.filter(isVector)],
      [10, all.filter(isX87)],
      [2, all.filter(isSystem)],
    ] as const
  ).flatMap(([weight, forms]) => Array.from({ length: weight }, () => forms));
}
const GROUPS = groupsOf(FORMS, 14);

/** Registers that memory operands like to go through. */
export const POINTERS = [3, 6, 7] as const;

/** An address in one of the data pages, often near a page's end. */
export function pointer(random: Random, flavour: Flavour): number {
  for (;;) {
    const page = random.below(DATA_PAGES.length - 2); // not the stack's upper page: loop counters are there
    if (flavour.portable && !PORTABLE.has(DATA_PAGES[page]!) && random.chance(0.7)) continue;
    const at = DATA + page * PAGE;
    if (random.chance(0.12)) return at + PAGE - random.below(34);
    if (random.chance(0.05)) return at + random.below(16);
    return at + (random.below(PAGE - 256) & (random.chance(0.7) ? ~15 : ~0));
  }
}
export const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];

/** Code that a label's address is put into. */
export interface LabelBytes {
  readonly bytes: number[];
  readonly at: number;
  readonly kind: Fix;
}
/** ModRM byte and what follows it for a memory operand; what must run before it. */
export interface MemoryBytes {
  readonly before: number[];
  readonly bytes: number[];
  /** An address-size prefix. */
  readonly prefixes?: number[];
}

/** 32-bit code; what has bytes in it is overridden for 64-bit and for 16-bit code. */
export class Generator {
  readonly items: Item[] = [];
  protected readonly random: Random;
  protected readonly flavour: Flavour;
  /** Registers that count loops; gentle functions leave them alone. */
  protected readonly counting: readonly number[] = [5, 6, 7, 1];
  protected readonly pointers: readonly number[] = POINTERS;
  protected readonly groups: readonly (readonly Form[])[] = GROUPS;
  /** How branches and addresses of labels are put in, and the room that they take. */
  protected readonly relative: Fix = 'rel32';
  protected readonly address: Fix = 'abs32';
  protected readonly hole: readonly number[] = [0, 0, 0, 0];
  protected labels = 0;
  /** Labels that are still to be placed: after how many more items. */
  protected pending: { label: number; after: number }[] = [];
  /** Loop counters in registers: nothing inside may write them. */
  protected readonly counters: number[] = [];
  protected readonly functions: { readonly label: number; readonly isGentle: boolean }[] = [];
  protected room: number;
  protected depth = 0;
  /** In a function the stack must be what it was when it returns; a portable program cannot afford to miss. */
  protected inFunction = false;
  /** Whether data segments may be odd. */
  protected readonly isOdd: boolean;

  constructor(random: Random, flavour: Flavour, room: number) {
    this.random = random;
    this.flavour = flavour;
    this.room = room;
    this.isOdd = !flavour.portable && random.chance(0.4);
  }

  generate(): void {
    const { random } = this;
    this.prelude();
    for (let i = random.below(3); i > 0; i--)
      this.functions.push({ label: this.labels++, isGentle: random.chance(0.5) });
    this.body(this.room);
    this.placeAll();
    const after = this.labels++;
    if (this.functions.length > 0) this.branch([0xeb, 0], 1, 'rel8', after, 'jmp');
    while (this.functions.length > 0) {
      const { label, isGentle } = this.functions.shift()!;
      this.add({ what: 'function', bytes: [], label });
      this.inFunction = true;
      this.counters.push(...(isGentle ? this.counting : []));
      this.body(random.between(2, 8));
      this.counters.length = 0;
      this.placeAll();
      const isSmall = random.chance(0.2);
      this.add({ what: 'ret', bytes: isSmall ? [0xc2, 0, 0] : [0xc3] });
    }
    this.add({ what: 'end', bytes: [], label: after });
  }

  /** Vector and x87 registers from memory. */
  protected prelude(): void {
    const { random } = this;
    this.loadVectors();
    for (let i = random.below(5); i > 0; i--) {
      const at = DATA + random.below(64) * 8;
      this.add({
        what: 'fld',
        bytes: random
          .pick([
            [0xd9, 0],
            [0xdd, 0],
            [0xdb, 0],
            [0xdf, 0x28],
          ])
          .flatMap((byte, i) => (i === 0 ? byte : this.absolute(byte, at))),
      });
    }
    if (random.chance(0.25))
      this.loadFrom(
        random.pick([0x3f80, 0x5f80, 0x7fa0, 0x1fbf, 0x9fc0, 0x1f00, 0x0f80, 0x1d80, 0]),
        [0x0f, 0xae],
        0x10,
        'ldmxcsr',
      );
    if (random.chance(0.25))
      this.loadFrom(random.pick([0x27f, 0x07f, 0x37e, 0xf7f, 0x77f, 0x340, 0xb7b]), [0xd9], 0x28, 'fldcw');
  }
  protected loadVectors(): void {
    for (let i = 0; i < 8; i++)
      this.add({ what: 'movups', bytes: [0x0f, 0x10, ...this.absolute(i << 3, DATA + this.random.below(64) * 16)] });
  }
  /** Puts a constant in memory and has it loaded from there. */
  protected loadFrom(value: number, opcode: readonly number[], field: number, what: string): void {
    const at = DATA + 0x40;
    this.add({
      what,
      bytes: [0xc7, ...this.absolute(0, at), ...word(value), ...opcode, ...this.absolute(field, at)],
    });
  }
  /** An immediate of the code's own size. */
  protected immediate(value: number): number[] {
    return word(value);
  }
  /** Makes the operand size of an instruction 16 bits, or not. */
  protected sizePrefix(isWord: boolean): number[] {
    return isWord ? [0x66] : [];
  }
  /** Whether the operand size is 16 bits. */
  protected choosesWord(_form: Form): boolean {
    return this.random.chance(0.2);
  }
  /** ModRM byte and what follows for a memory operand at an address. */
  protected absolute(field: number, at: number): number[] {
    return [field | 5, ...word(at)];
  }
  protected moveImmediate(reg: number, value: number): number[] {
    return [0xb8 + reg, ...word(value)];
  }
  /** Where a small immediate stands in that. */
  protected immediateAt(_reg: number): number {
    return 1;
  }
  /** Loads a label's address, which is put in at the index. */
  protected moveLabel(reg: number): LabelBytes {
    return { bytes: this.moveImmediate(reg, 0), at: this.immediateAt(reg), kind: this.address };
  }
  protected decrement(reg: number): number[] {
    return [0x48 + reg];
  }
  /** CALL (/2) or JMP (/4) by a register. */
  protected through(reg: number, digit: number): number[] {
    return [0xff, 0xc0 | (digit << 3) | reg];
  }
  /** Stores a label's address. */
  protected storeAddress(at: number): LabelBytes {
    const bytes = [0xc7, ...this.absolute(0, at)];
    return { bytes: [...bytes, ...this.hole], at: bytes.length, kind: this.address };
  }

  protected add(item: Item): void {
    this.items.push(item);
    this.pending = this.pending.filter((p) => {
      if (p.after-- > 0) return true;
      this.items.push({ what: 'label', bytes: [], label: p.label });
      return false;
    });
  }
  private placeAll(): void {
    for (const { label } of this.pending) this.items.push({ what: 'label', bytes: [], label });
    this.pending = [];
  }
  protected branch(bytes: number[], at: number, kind: Fix, label: number, what: string): void {
    this.add({ what, bytes, fix: { at, kind, label } });
  }
  protected later(): number {
    const label = this.labels++;
    this.pending.push({ label, after: this.random.below(this.random.chance(0.8) ? 6 : 20) });
    return label;
  }

  private body(count: number): void {
    const { random } = this;
    for (let i = 0; i < count && this.room > 0; i++, this.room--) {
      const kind = random.below(100);
      if (kind < 10) this.forward();
      else if (kind < 15 && this.depth < 3) this.loop();
      else if (kind < 18 && this.functions.length > 0) this.call();
      else if (kind < 20) this.indirect();
      else if (kind < 24) this.stack();
      else if (kind < 28) this.point();
      else if (kind < 29) this.rare();
      else this.plain();
    }
  }

  protected forward(): void {
    const { random } = this;
    const condition = random.below(16);
    const kind = random.below(20);
    const label = this.later();
    if (kind < 11) this.branch([0x70 + condition, 0], 1, 'rel8', label, 'jcc');
    else if (kind < 15) this.branch([0x0f, 0x80 + condition, ...this.hole], 2, this.relative, label, 'jcc');
    else if (kind < 17) this.branch([0xeb, 0], 1, 'rel8', label, 'jmp');
    else if (kind < 18) this.branch([0xe9, ...this.hole], 1, this.relative, label, 'jmp');
    else if (this.counters.includes(1)) this.branch([0xe3, 0], 1, 'rel8', label, 'jecxz');
    else this.branch([random.pick([0xe0, 0xe1, 0xe2, 0xe3]), 0], 1, 'rel8', label, 'loop');
  }

  /** A loop with its own counter, in memory or in a register that the body leaves alone. */
  private loop(): void {
    const { random } = this;
    const head = this.labels++;
    const rounds = this.depth > 0 ? random.between(1, 5) : random.pick([1, 2, 3, 5, 9, 20, 60]);
    const inRegister = random.chance(0.6);
    const free = this.counting.filter((r) => !this.counters.includes(r));
    this.depth++;
    if (inRegister && free.length > 0) {
      const counter = random.pick(free);
      this.placeAll(); // nobody jumps in behind the counter's back
      this.add({ what: 'loop counter', bytes: this.moveImmediate(counter, rounds) });
      this.counters.push(counter);
      this.items.push({ what: 'head', bytes: [], label: head });
      this.body(random.between(1, 7));
      this.counters.pop();
      if (counter === 1 && random.chance(0.5)) this.branch([0xe2, 0], 1, 'rel8', head, 'loop back');
      else this.backWhileCounting(counter, head);
    } else {
      const at = this.absolute(0, COUNTERS + head * 4);
      this.add({ what: 'loop counter', bytes: [0xc7, ...at, ...this.immediate(rounds)] });
      this.items.push({ what: 'head', bytes: [], label: head });
      this.body(random.between(1, 7));
      // Greater than zero: whoever jumps into the loop does not stay for long.
      const less = [0xff, ...this.absolute(8, COUNTERS + head * 4), 0x0f, 0x8f];
      this.branch([...less, ...this.hole], less.length, this.relative, head, 'dec, loop back');
    }
    this.depth--;
  }
  protected backWhileCounting(counter: number, head: number): void {
    this.branch([...this.decrement(counter), 0x75, 0], 2, 'rel8', head, 'dec, loop back');
  }

  protected call(): void {
    const { random } = this;
    const callable = this.functions.filter((f) => f.isGentle || this.counters.length === 0);
    if (callable.length === 0) {
      this.plain();
      return;
    }
    const { label } = random.pick(callable);
    if (random.chance(0.75)) this.branch([0xe8, ...this.hole], 1, this.relative, label, 'call');
    else {
      const reg = this.freeRegister();
      const { bytes, at, kind } = this.moveLabel(reg);
      this.branch([...bytes, ...this.through(reg, 2)], at, kind, label, 'call reg');
    }
  }

  protected indirect(): void {
    const { random } = this;
    const label = this.later();
    const choice = random.below(4);
    const reg = this.freeRegister();
    if (choice === 0) this.branch([0x68, ...this.hole, 0xc3], 1, this.address, label, 'push, ret');
    else if (choice === 1) {
      const place = DATA + 8 * this.random.below(64);
      const { bytes, at } = this.storeAddress(place);
      this.branch([...bytes, 0xff, ...this.absolute(0x20, place)], at, this.address, label, 'jmp [mem]');
    } else {
      const { bytes, at, kind } = this.moveLabel(reg);
      this.branch([...bytes, ...this.through(reg, 4)], at, kind, label, 'jmp reg');
    }
  }

  protected stack(): void {
    const { random } = this;
    const a = random.below(8);
    const b = this.freeRegister();
    const choice = random.below(6);
    if (choice === 0) this.add({ what: 'push pop', bytes: [0x50 + a, 0x58 + b] });
    else if (choice === 1) this.add({ what: 'pushf pop', bytes: [0x9c, 0x58 + b] });
    else if (choice === 2) {
      const keep = this.flavour.portable ? 0xcd5 : random.chance(0.1) ? 0x0024_7fd5 : 0x0024_4ed5;
      this.add({ what: 'popf', bytes: [0x50 + a, 0x81, 0x24, 0x24, ...word(keep), 0x9d] });
    } else if (choice === 3) {
      const down = random.between(1, 16) * 4;
      this.add({ what: 'sub esp', bytes: [0x83, 0xec, down] });
      this.plain();
      this.add({ what: 'add esp', bytes: random.chance(0.5) ? [0x83, 0xc4, down] : [0x8d, 0x64, 0x24, down] });
    } else if (choice === 4 && this.counters.length === 0 && !this.flavour.portable) {
      this.add({ what: 'frame', bytes: [0x55, 0x89, 0xe5] });
      this.plain();
      this.add({ what: 'leave', bytes: random.chance(0.5) ? [0xc9] : [0x89, 0xec, 0x5d] });
    } else
      this.add({
        what: 'pusha popa',
        bytes: this.counters.length === 0 && random.chance(0.5) ? [0x66, 0x60, 0x66, 0x61] : [0x60, 0x61],
      });
  }

  protected point(): void {
    const free = this.pointers.filter((r) => !this.counters.includes(r));
    if (free.length === 0) {
      this.plain();
      return;
    }
    const reg = this.random.pick(free);
    const isStep = this.random.chance(0.4);
    if (isStep) this.add({ what: 'step', bytes: this.step(reg, this.random.pick([1, 4, 4, 8, 16, 60, 0xfc, 0xf0])) });
    else this.add({ what: 'point', bytes: this.moveImmediate(reg, pointer(this.random, this.flavour)) });
  }

  protected step(reg: number, distance: number): number[] {
    return [0x83, 0xc0 + reg, distance];
  }

  /** What only a kernel or a wicked program does. */
  private rare(): void {
    const { random } = this;
    const kind = random.below(this.isOdd ? 9 : 3);
    if (kind < 2) this.rewrite();
    else if (kind === 2)
      this.add({
        what: 'int',
        bytes: random.pick([[0xcc], [0xce], [0xcd, 3], [0xcd, 0x20 + random.below(64)], [0xf0, 0x90], [0x0f, 0x0b]]),
      });
    else this.segment(kind);
  }

  protected segment(kind: number): void {
    const { random } = this;
    const selector = random.pick([
      SELECTOR.userData,
      SELECTOR.small,
      SELECTOR.small,
      SELECTOR.down,
      0,
      SELECTOR.userData16,
      SELECTOR.kernelData,
      SELECTOR.userCode,
      random.below(0x10000),
    ]);
    const segment = random.pick([0, 0, 3, 3, 4, 5, 4, 5, 2]);
    const reg = this.freeRegister();
    if (kind < 7)
      this.add({ what: 'mov seg', bytes: [...this.moveImmediate(reg, selector), 0x8e, 0xc0 | (segment << 3) | reg] });
    else if (kind === 7) {
      const label = this.later();
      this.branch([0xea, 0, 0, 0, 0, SELECTOR.userCode, 0], 1, 'abs32', label, 'jmp far');
    } else
      this.add({
        what: 'odd far',
        bytes: random.pick([
          [0xcb],
          [0xcf],
          [0xff, 0x2b],
          [0xff, 0x1e],
          [0x9a, ...word(random.value()), random.below(0x60), 0],
          [0x0f, 0xb2, 0x23],
          [0xc4, 0x06],
          [0x0f, 0xb4, 0x03],
          [0x07],
          [0x1f],
          [0x0f, 0xa1],
          [0x0f, 0x34],
          [0x0f, 0x05],
        ]),
      });
  }

  /** Changes the immediate of an instruction that comes soon, or that a loop has already run. */
  protected rewrite(): void {
    const { random } = this;
    const label = this.labels++;
    const reg = this.freeRegister();
    const isAhead = random.chance(0.6);
    const immediate = this.immediateAt(reg);
    const victim: Item = { what: 'victim', bytes: this.moveImmediate(reg, random.value()), label };
    if (!isAhead) this.add(victim);
    const width = random.below(3);
    const fix = { kind: 'abs32', label, add: immediate + (width === 0 ? random.below(4) : 0) } as const;
    const what = 'rewrite';
    const place = (field: number) => this.absolute(field, 0);
    const at = place(0).length - 3;
    if (width === 0) this.add({ what, bytes: [0xc6, ...place(0), random.below(256)], fix: { ...fix, at } });
    else if (width === 1) this.add({ what, bytes: [0x89, ...place(random.below(8) << 3)], fix: { ...fix, at } });
    else this.add({ what, bytes: [0xff, ...place(0)], fix: { ...fix, at } });
    if (!isAhead) return;
    for (let i = random.below(4); i > 0; i--) this.plain();
    this.add(victim);
  }

  protected freeRegister(): number {
    for (;;) {
      const reg = this.random.pick([0, 0, 1, 2, 2, 5, 0, 1, 2]);
      if (!this.counters.includes(reg)) return reg;
    }
  }

  protected plain(): void {
    const { random, flavour } = this;
    for (;;) {
      const form = random.pick(random.pick(this.groups));
      if (flavour.portable && !form.isPortable) continue;
      if (flavour.portable && this.inFunction && /^(push|pop)/.test(form.instruction.name)) continue;
      if (this.counters.length > 0 && HIDDEN_REGISTERS.test(form.instruction.name)) continue;
      if (this.emit(form)) return;
    }
  }

  /** A register for an operand: ESP hardly ever. */
  protected register(isByte: boolean): number {
    const { random, counters, flavour } = this;
    for (;;) {
      const reg = random.below(8);
      if (isByte ? counters.includes(reg & 3) : counters.includes(reg)) continue;
      if (!isByte && reg === 4 && (flavour.portable || random.chance(0.95))) continue;
      if ((isByte ? (reg & 3) === 3 : reg === 3 || reg >= 6) && random.chance(0.6)) continue;
      return reg;
    }
  }

  protected memory(reg: number, used: readonly number[]): MemoryBytes {
    const { random, flavour } = this;
    const field = reg << 3;
    const at = pointer(random, flavour);
    if (random.chance(0.15)) return { before: [], bytes: [field | 5, ...word(at)] };
    const stackRelative = random.chance(0.12);
    if (stackRelative) return { before: [], bytes: [field | 0x44, 0x24, random.below(16) * 4] };
    // Portable programs know where they point; the others often do.
    const base = random.pick(POINTERS);
    const isNew = !this.counters.includes(base) && !used.includes(base) && (flavour.portable || random.chance(0.35));
    if (flavour.portable && !isNew) return { before: [], bytes: [field | 5, ...word(at)] };
    const before = isNew ? this.moveImmediate(base, at) : [];
    const shift = random.below(64) - 24;
    const kind = random.below(8);
    if (kind < 3) return { before, bytes: [field | base] };
    if (kind < 5) return { before, bytes: [field | 0x40 | base, shift & 0xff] };
    if (kind < 6 || flavour.portable) return { before, bytes: [field | 0x80 | base, ...word(shift)] };
    const index = random.below(8);
    const scale = random.below(4) << 6;
    if (this.counters.includes(index) || random.chance(0.5)) {
      const known = this.counters.length > 0 ? random.pick(this.counters) : index;
      return { before, bytes: [field | 0x44, scale | (known << 3) | base, shift & 0xff] };
    }
    return { before, bytes: [field | 0x04, scale | (index << 3) | 5, ...word(at)] };
  }

  /** The same with a vector as index. */
  protected vectorMemory(reg: number): MemoryBytes {
    const { random } = this;
    const base = random.pick(POINTERS);
    const before = this.counters.includes(base) ? [] : this.moveImmediate(base, pointer(random, this.flavour));
    const sib = (random.below(4) << 6) | (random.below(8) << 3) | base;
    return { before, bytes: [(reg << 3) | 0x44, sib, random.below(64)] };
  }

  protected emit(form: Form): boolean {
    const { random, flavour, counters } = this;
    const { instruction, operands } = form;
    const { name } = instruction;
    const prefixes: number[] = [];
    const before: number[] = [];
    const hasWide =
      form.vex === null && (operands.some((o) => o.width === 'v') || instruction.variants?.includes('opSize'));
    const isWord = hasWide && this.choosesWord(form) && !(flavour.portable && /^(push|pop|enter|leave)/.test(name));
    const isVectorForm = isVector(form);
    if (hasWide && form.prefix === 0) prefixes.push(...this.sizePrefix(isWord === true));
    if (!flavour.portable && random.chance(0.02)) prefixes.push(0x67);
    if (STRING.test(name)) {
      if (random.chance(0.6)) {
        prefixes.push(random.pick([0xf2, 0xf3]));
        before.push(...this.moveImmediate(1, random.chance(0.9) ? random.below(24) : random.below(3000)));
      }
      // Which of two bad operands of CMPS faults first is each maker's own.
      const source = flavour.portable && name === 'cmps' ? DATA + random.below(PAGE) : pointer(random, flavour);
      before.push(...this.moveImmediate(6, source), ...this.moveImmediate(7, pointer(random, flavour)));
      if (random.chance(0.25)) before.push(0xfd);
      else before.push(0xfc);
    }
    // Whether an unwanted byte faults is each maker's own.
    if (flavour.portable && /^maskmov/.test(name)) return false;
    if (/^maskmov/.test(name)) before.push(...this.moveImmediate(7, pointer(random, flavour)));
    if (/^i?div$/.test(name) && random.chance(0.7)) before.push(...(random.chance(0.5) ? [0x31, 0xd2] : [0x99]));
    if (random.chance(flavour.portable ? 0.02 : 0.06)) {
      const others = flavour.portable ? [0x2e] : [0x2e, 0x64, 0x65];
      prefixes.push(random.pick([0x36, 0x3e, 0x26, ...others]));
    }
    const isByte = (letter: string, width: string) => width === 'b' && 'EGZR'.includes(letter);

    const opcode: number[] = [];
    if (form.vex === null) {
      if (form.prefix !== NO_PREFIX && form.prefix !== 0) prefixes.push(form.prefix);
      if (form.map) opcode.push(0x0f);
      if (form.map > 1) opcode.push(form.map === 2 ? 0x38 : 0x3a);
    }
    let low = form.span === 8 ? random.below(8) : random.below(form.span);
    const tail: number[] = [];
    let usesMemory = false;
    if (form.hasModrm && form.modrm < 0) {
      const g = operands.find((o) => o.letter === 'G');
      const reg = form.digit >= 0 ? form.digit : g ? this.register(isByte('G', g.width)) : random.below(8);
      const e = operands.find((o) => 'EFRN'.includes(o.letter));
      const canBeMemory = form.mod !== 1 && operands.some((o) => 'EFMQW'.includes(o.letter) || o.letter === 'L');
      usesMemory = canBeMemory && (form.mod === 0 || random.chance(0.45));
      // Makers differ in whether SHA's operands must be aligned, and when CVTPI2PS and its like switch to MMX.
      const isDisputed = /^cvt(pi2p|t?p[sd]2pi)/.test(name) || (usesMemory && /^sha[12]/.test(name));
      if (flavour.portable && isDisputed) return false;
      if (usesMemory) {
        const isBitString = /^bt/.test(name) && g !== undefined;
        if (isBitString) {
          if (reg === 4 || counters.includes(reg)) return false;
          before.push(...this.moveImmediate(reg, (random.below(512) - 256) >>> 0));
        }
        const isGather = operands.some((o) => o.letter === 'Y');
        const m = isGather ? this.vectorMemory(reg) : this.memory(reg, isBitString ? [reg] : []);
        before.push(...m.before);
        prefixes.push(...(m.prefixes ?? []));
        tail.push(...m.bytes);
        if (instruction.lockable && operands[0]!.letter !== 'G' && random.chance(0.1)) prefixes.unshift(0xf0);
      } else {
        const rm = e ? this.register(isByte('E', e.width)) : random.below(8);
        tail.push(0xc0 | (reg << 3) | rm);
      }
    } else if (form.modrm >= 0) tail.push(form.modrm);
    else if (form.span === 8) {
      const z = operands.find((o) => o.letter === 'Z');
      if (z) {
        low = this.register(z.width === 'b');
        if (name === 'pop' && low === 4 && flavour.portable) return false;
      }
    } else if (form.span === 7) low = this.register(false) % 7;
    if (form.span === 7 && (counters.includes(low + 1) || (low === 3 && flavour.portable))) return false;
    if (form.vex === null) opcode.push(form.opcode + low);
    else {
      // A general register that it names may be one that it writes.
      const isGeneral = operands.some((o) => o.letter === 'B');
      opcode.push(
        ...vexBytes(form, { register: isGeneral ? this.register(false) : random.below(8), choice: random.u32() }),
      );
    }
    for (const o of operands) {
      if (o.letter === 'O') tail.push(...this.immediate(pointer(random, flavour)));
      if (o.letter !== 'I' && o.letter !== 'sI' && o.letter !== 'K') continue;
      const size = o.letter === 'sI' || o.letter === 'K' || o.width === 'b' ? 1 : o.width === 'w' ? 2 : isWord ? 2 : 4;
      const value = name === 'enter' ? random.below(4) * (size === 2 ? 4 : 1) : random.value();
      tail.push(...word(value).slice(0, size));
    }
    if (form.suffix >= 0) tail.push(form.suffix);
    if (
      !isVectorForm &&
      counters.length > 0 &&
      operands.some((o) => ['AL', 'eAX', 'CL'].includes(o.letter)) &&
      counters.includes(0)
    )
      return false;
    const bytes = [...before, ...prefixes, ...opcode, ...tail];
    // On the host undefined flags are what they are: a comparison with a constant defines them anew.
    const undefinedFlags = instruction.undefinedFlags ?? '';
    const isLogic = undefinedFlags === 'A' && /^(and|or|xor|test)$/.test(name);
    if (flavour.portable && undefinedFlags !== '' && !isLogic) {
      bytes.push(0x83, 0xf8 | random.below(8), random.below(256));
      // 16-bit double shifts by more than 16 leave anything in the register.
      if (/^sh[lr]d$/.test(name) && isWord) return false;
    }
    this.add({ what: `${name} (${form.text})`, bytes });
    return true;
  }
}

/** The program of a seed. */
export function generate(seed: number, flavour: Flavour): Program {
  const random = new Random(seed);
  const regs = Array.from({ length: 8 }, (_, i) =>
    (POINTERS as readonly number[]).includes(i) ? pointer(random, flavour) : random.value(),
  );
  regs[4] = FIRST_ESP;
  const eflags = 0x202 | (random.u32() & 0x8d5);
  const generator = new Generator(random, flavour, random.between(4, 60));
  const start = randomStart(random);
  generator.generate();
  return { seed, regs, eflags, start, items: generator.items };
}
