/** The same for 64-bit code: REX and VEX prefixes, registers 8 to 15, addresses above 4 GiB, in the upper half and relative to
 *  RIP. */
import { parseEncoding } from '../../../core/target/x86/decode/encoding.ts';
import { isInLongMode } from '../../../core/target/x86/decode/long-mode.ts';
import { EXECUTABLE } from '../../../core/target/x86/semantics/index.ts';
import { LONG, LONG_WIDE } from '../../../core/target/x86/semantics/long.ts';
import { vexBytes } from '../../../core/target/x86/testing/vex-bytes.ts';
import { Random } from '../../hostility/random.ts';
import {
  BY_HAND,
  type Flavour,
  type Form,
  Generator,
  groupsOf,
  isVector,
  type LabelBytes,
  NOT_PORTABLE,
  pointer,
  STRING,
  word,
} from './generate.ts';
import { type Item, type Program, randomStart } from './program.ts';
import { DATA, FIRST_ESP, HIGH, PAGE, SELECTOR, TOP } from './world.ts';

const WIDE = new Set(LONG_WIDE.map(({ instruction }) => instruction));
const NEW = new Set([...LONG, ...WIDE]);
/** Which elements of a faulting gather are done, whether one that a mask leaves out faults, and what C1 says of FLD of an empty register
 *  on to a full one, is each maker's own. */
const NOT_PORTABLE_LONG = /^(swapgs|vp?gather|vp?maskmov|fld$)/;
const FORMS: readonly Form[] = EXECUTABLE.filter((i) => !BY_HAND.test(i.name)).flatMap((i) =>
  i.encodings
    .map((text) => parseEncoding(i, text))
    .filter((e) => NEW.has(i) || isInLongMode(e))
    .map((e) => ({ ...e, isPortable: !NOT_PORTABLE.test(i.name) && !NOT_PORTABLE_LONG.test(i.name) && e.suffix < 0 })),
);
const GROUPS = groupsOf(FORMS, 30);

const POINTERS = [3, 6, 7, 10, 12, 13] as const;
const RSP = 4;
const TWO32 = 0x1_0000_0000;
/** Of eight bytes, or of four that stand for them with their sign. */
function quad(n: number): number[] {
  return [...word((n % TWO32) | 0), ...word(Math.floor(n / TWO32))];
}
/** REX.B for a register in the low bits of an opcode or of ModRM. */
const upper = (reg: number) => reg >> 3;

/** A memory operand; `rex`: the bits X and B that it takes, `data`: it is relative to RIP and means this address. */
interface LongMemory {
  readonly before: number[];
  readonly bytes: number[];
  readonly rex: number;
  readonly data?: number;
}

class LongGenerator extends Generator {
  protected override readonly counting = [5, 6, 7, 1, 9, 12, 15];
  protected override readonly pointers = POINTERS;
  protected override readonly groups = GROUPS;

  // -- encodings -------------------------------------------------------------------------------------------------------------------

  protected override absolute(field: number, at: number): number[] {
    return [field | 4, 0x25, ...word(at)];
  }
  protected override moveImmediate(reg: number, value: number): number[] {
    const b = upper(reg);
    if (value >= 0 && value < TWO32) return [...(b ? [0x41] : []), 0xb8 | (reg & 7), ...word(value)];
    if (value < 0 && value >= -0x8000_0000) return [0x48 | b, 0xc7, 0xc0 | (reg & 7), ...word(value)];
    return [0x48 | b, 0xb8 | (reg & 7), ...quad(value)];
  }
  protected override immediateAt(reg: number): number {
    return 1 + upper(reg);
  }
  /** MOV, or LEA relative to RIP. */
  protected override moveLabel(reg: number): LabelBytes {
    if (this.random.chance(0.5)) return super.moveLabel(reg);
    return { bytes: [upper(reg) ? 0x4c : 0x48, 0x8d, ((reg & 7) << 3) | 5, 0, 0, 0, 0], at: 3, kind: 'rel32' };
  }
  protected override decrement(reg: number): number[] {
    const rex = 0x40 | (this.random.chance(0.5) ? 8 : 0) | upper(reg);
    return [...(rex === 0x40 ? [] : [rex]), 0xff, 0xc8 | (reg & 7)];
  }
  protected override backWhileCounting(counter: number, head: number): void {
    const less = [...this.decrement(counter), 0x0f, 0x85];
    this.branch([...less, 0, 0, 0, 0], less.length, 'rel32', head, 'dec, loop back');
  }
  protected override through(reg: number, digit: number): number[] {
    return [...(upper(reg) ? [0x41] : []), 0xff, 0xc0 | (digit << 3) | (reg & 7)];
  }
  protected override storeAddress(at: number): LabelBytes {
    return { bytes: [0x48, 0xc7, ...this.absolute(0, at), 0, 0, 0, 0], at: 8, kind: 'abs32' };
  }
  protected override step(reg: number, distance: number): number[] {
    return [0x48 | upper(reg), 0x83, 0xc0 | (reg & 7), distance];
  }
  private push(reg: number): number[] {
    return [...(upper(reg) ? [0x41] : []), 0x50 | (reg & 7)];
  }
  private pop(reg: number): number[] {
    return [...(upper(reg) ? [0x41] : []), 0x58 | (reg & 7)];
  }

  /** An address in one of the data pages, by one of its names. */
  private pointer(isShort = false): number {
    const { random, flavour } = this;
    const at = pointer(random, flavour);
    const name = isShort ? 0 : random.below(10);
    return name < 5 ? at : name < 9 || flavour.portable ? HIGH + at : TOP + at;
  }

  // -- what programs do ------------------------------------------------------------------------------------------------------------

  protected override loadVectors(): void {
    const { random } = this;
    for (let i = 0; i < 16; i++) {
      const place = this.absolute((i & 7) << 3, DATA + random.below(64) * 16);
      if (random.chance(0.7)) this.add({ what: 'vmovups', bytes: [0xc5, i > 7 ? 0x7c : 0xfc, 0x10, ...place] });
      else this.add({ what: 'movups', bytes: [...(i > 7 ? [0x44] : []), 0x0f, 0x10, ...place] });
    }
  }

  protected override stack(): void {
    const { random } = this;
    const a = random.below(16);
    const b = this.freeRegister();
    const choice = random.below(7);
    if (choice === 0) this.add({ what: 'push pop', bytes: [...this.push(a), ...this.pop(b)] });
    else if (choice === 1) this.add({ what: 'pushf pop', bytes: [0x9c, ...this.pop(b)] });
    else if (choice === 2) {
      const keep = this.flavour.portable ? 0xcd5 : random.chance(0.1) ? 0x0024_7fd5 : 0x0024_4ed5;
      this.add({ what: 'popf', bytes: [...this.push(a), 0x48, 0x81, 0x24, 0x24, ...word(keep), 0x9d] });
    } else if (choice === 3) {
      const down = random.between(1, 15) * 8;
      this.add({ what: 'sub rsp', bytes: [0x48, 0x83, 0xec, down] });
      this.plain();
      const up = random.chance(0.5) ? [0x48, 0x83, 0xc4, down] : [0x48, 0x8d, 0x64, 0x24, down];
      this.add({ what: 'add rsp', bytes: up });
    } else if (choice === 4 && this.counters.length === 0 && !this.flavour.portable) {
      this.add({ what: 'frame', bytes: [0x55, 0x48, 0x89, 0xe5] });
      this.plain();
      this.add({ what: 'leave', bytes: random.chance(0.5) ? [0xc9] : [0x48, 0x89, 0xec, 0x5d] });
    } else if (choice === 5)
      this.add({
        what: 'push imm, pop',
        bytes: [...(random.chance(0.5) ? [0x6a, random.below(256)] : [0x68, ...word(random.value())]), ...this.pop(b)],
      });
    else this.add({ what: 'push16 pop16', bytes: [0x66, ...this.push(a), 0x66, ...this.pop(b)] });
  }

  protected override segment(kind: number): void {
    const { random } = this;
    const reg = this.freeRegister();
    const selectors = [SELECTOR.userData, SELECTOR.small, SELECTOR.down, 0, SELECTOR.kernelData, random.below(0x10000)];
    if (kind < 5) {
      const segment = random.pick([0, 3, 4, 5, 4, 5, 2]);
      const move = [...(upper(reg) ? [0x41] : []), 0x8e, 0xc0 | (segment << 3) | (reg & 7)];
      this.add({ what: 'mov seg', bytes: [...this.moveImmediate(reg, random.pick(selectors)), ...move] });
    } else if (kind < 7) {
      // By a far pointer in memory, to 64-, 32- or 16-bit code, and back if it comes that far.
      const place = DATA + 16 * random.below(64);
      const selector = random.pick([
        ...[SELECTOR.userCode, SELECTOR.userCode, SELECTOR.userCode32, SELECTOR.userCode32, SELECTOR.userCodeOfSysret],
        ...[SELECTOR.userCode16, SELECTOR.kernelCode],
      ]);
      const store = [0xc7, ...this.absolute(0, place), 0, 0, 0, 0];
      const rest = [0x66, 0xc7, ...this.absolute(0, place + 4), selector, 0, 0xff, ...this.absolute(0x28, place)];
      this.branch([...store, ...rest], 7, 'abs32', this.later(), 'jmp far');
    } else if (kind === 7) this.add({ what: 'syscall', bytes: [0x0f, 0x05] });
    else
      this.add({
        what: 'odd far',
        bytes: random.pick([
          ...[[0xcb], [0x48, 0xcb], [0xcf], [0x48, 0xcf], [0xff, 0x2b], [0x48, 0xff, 0x2b], [0xff, 0x1e]],
          ...[
            [0x0f, 0xb2, 0x23],
            [0x0f, 0xb4, 0x03],
            [0x48, 0x0f, 0xb5, 0x03],
            [0x0f, 0xa1],
            [0x0f, 0xa9],
          ],
          ...[[0x0f, 0x34], [0x0f, 0x35], [0x0f, 0x07], [0x48, 0x0f, 0x07], [0x06], [0x9a, 0, 0, 0, 0, 0, 0], [0xea]],
        ]),
      });
  }

  protected override freeRegister(): number {
    for (;;) {
      const reg = this.random.pick([0, 0, 1, 2, 2, 5, 8, 9, 11, 13, 14, 15]);
      if (!this.counters.includes(reg)) return reg;
    }
  }
  /** A register for an operand: RSP hardly ever. */
  private operand(isByte: boolean, hasRex: boolean): number {
    const { random, counters, flavour } = this;
    const isOld = isByte && !hasRex; // AH to BH
    for (;;) {
      const reg = random.below(hasRex ? 16 : 8);
      if (counters.includes(isOld ? reg & 3 : reg)) continue;
      if (!isOld && reg === RSP && (flavour.portable || random.chance(0.95))) continue;
      if ((POINTERS as readonly number[]).includes(isOld ? reg & 3 : reg) && random.chance(0.6)) continue;
      return reg;
    }
  }

  /** `reg`: three bits of the ModRM byte. */
  private place(reg: number, used: readonly number[], hasRex: boolean, isShort: boolean, isVsib: boolean): LongMemory {
    const { random, flavour } = this;
    const field = reg << 3;
    const at = this.pointer(isShort);
    if (!isVsib) {
      if (random.chance(0.2)) {
        const data = isShort ? at : at < 0 ? at - TOP : at % HIGH;
        return { before: [], bytes: [field | 5, 0, 0, 0, 0], rex: 0, data };
      }
      if (random.chance(0.08)) return { before: [], bytes: this.absolute(field, pointer(random, flavour)), rex: 0 };
      if (random.chance(0.1)) return { before: [], bytes: [field | 0x44, 0x24, random.below(16) * 4], rex: 0 };
    }
    const base = random.pick(hasRex ? POINTERS : [3, 6, 7]);
    const isNew = !this.counters.includes(base) && !used.includes(base) && (flavour.portable || random.chance(0.4));
    if (flavour.portable && !isNew)
      return { before: [], bytes: this.absolute(field, pointer(random, flavour)), rex: 0 };
    // With 67 the upper half counts for nothing.
    const rest = isShort && random.chance(0.5) ? random.below(0x1_0000) * TWO32 : 0;
    const before = isNew ? this.moveImmediate(base, at + rest) : [];
    const shift = random.below(64) - 24;
    const b = upper(base);
    const low = base & 7;
    const kind = random.below(9);
    if (!isVsib && kind < 6) {
      const needsSib = low === RSP;
      const mod = kind < 2 && low !== 5 ? 0 : kind < 5 ? 0x40 : 0x80;
      const bytes = [field | mod | low, ...(needsSib ? [0x24] : [])];
      if (mod === 0x40) bytes.push(shift & 0xff);
      if (mod === 0x80) bytes.push(...word(shift));
      return { before, bytes, rex: b };
    }
    let index = random.below(hasRex ? 16 : 8);
    const isFree = !this.counters.includes(index) && !used.includes(index) && index !== base && index !== RSP;
    if (!isVsib && index !== RSP) {
      if (isFree && (flavour.portable || random.chance(0.6)))
        before.push(...this.moveImmediate(index, random.below(16) - (isShort ? 0 : 4)));
      else if (flavour.portable || random.chance(0.5)) index = RSP; // none
    }
    const sib = (random.below(4) << 6) | ((index & 7) << 3) | low;
    return { before, bytes: [field | 0x44, sib, shift & 0xff], rex: b | (upper(index) << 1) };
  }

  protected override emit(form: Form): boolean {
    const { random, flavour, counters } = this;
    const { instruction, operands } = form;
    const { name } = instruction;
    const prefixes: number[] = [];
    const before: number[] = [];
    const isWideOnly = WIDE.has(instruction);
    const hasRex = form.vex !== null || isWideOnly || random.chance(0.75);
    const bySize = operands.some((o) => o.width === 'v') || instruction.variants?.includes('opSize');
    const isSized = bySize || operands.some((o) => /[ym]$/.test(o.text));
    let rex = hasRex ? 0x40 : 0;
    // W means nothing to some, and something else to one.
    if (isWideOnly || (hasRex && name !== 'cmpxchg8b' && random.chance(isSized ? 0.55 : 0.15))) rex |= 8;
    const isWide = (rex & 8) !== 0;
    const isStack = /^(push|pop|enter|leave)/.test(name);
    const isWord =
      form.vex === null && bySize === true && !isWide && random.chance(0.25) && !(flavour.portable && isStack);
    if (isWord && form.prefix === 0) prefixes.push(0x66);
    // Of zero: makers differ in what becomes of the upper half.
    if (flavour.portable && /^bs[fr]$/.test(name) && !isWide && !isWord) return false;
    const isString = STRING.test(name);
    const isShort = random.chance(0.06);
    if (isShort) prefixes.push(0x67);
    if (isString) {
      const rest = () => (isShort && random.chance(0.5) ? random.below(0x1_0000) * TWO32 : 0);
      if (random.chance(0.6)) {
        prefixes.push(random.pick([0xf2, 0xf3]));
        before.push(...this.moveImmediate(1, (random.chance(0.9) ? random.below(24) : random.below(3000)) + rest()));
      }
      const source = flavour.portable && name === 'cmps' ? DATA + random.below(PAGE) : this.pointer(isShort);
      before.push(...this.moveImmediate(6, source + (source > 0 && source < TWO32 ? rest() : 0)));
      before.push(...this.moveImmediate(7, this.pointer(isShort)), random.chance(0.25) ? 0xfd : 0xfc);
    }
    if (/^v?maskmov/.test(name)) {
      if (flavour.portable) return false;
      if (!/ps|pd/.test(name)) before.push(...this.moveImmediate(7, this.pointer(isShort)));
    }
    if (/^i?div$/.test(name) && random.chance(0.7)) before.push(...random.pick([[0x31, 0xd2], [0x99], [0x48, 0x99]]));
    if (random.chance(flavour.portable ? 0.02 : 0.1))
      prefixes.push(random.pick([0x36, 0x3e, 0x26, 0x2e, ...(flavour.portable ? [] : [0x64, 0x65, 0x64, 0x65])]));
    const isByte = (letters: string) => operands.some((o) => o.width === 'b' && letters.includes(o.letter));
    if (form.vex === null && form.prefix > 0) prefixes.push(form.prefix);

    const tail: number[] = [];
    let low = form.span === 8 ? random.below(8) : random.below(form.span);
    let data: number | undefined;
    let usesMemory = false;
    if (form.hasModrm && form.modrm < 0) {
      const g = operands.find((o) => o.letter === 'G');
      const e = operands.find((o) => 'EFRN'.includes(o.letter));
      const hasVector = operands.some((o) => o.letter === 'V');
      const reg =
        form.digit >= 0
          ? form.digit
          : g
            ? this.operand(isByte('G'), hasRex)
            : random.below(hasVector && hasRex ? 16 : 8);
      rex |= upper(reg) << 2;
      const canBeMemory = form.mod !== 1 && operands.some((o) => 'EFMQWL'.includes(o.letter));
      usesMemory = canBeMemory && (form.mod === 0 || random.chance(0.45));
      const isDisputed = /^cvt(pi2p|t?p[sd]2pi)/.test(name) || (usesMemory && /^sha[12]/.test(name));
      if (flavour.portable && isDisputed) return false;
      if (usesMemory) {
        const isBitString = /^bt/.test(name) && g !== undefined;
        if (isBitString) {
          if (reg === RSP || counters.includes(reg) || isShort) return false;
          before.push(...this.moveImmediate(reg, random.below(512) - 256));
        }
        const isVsib = operands.some((o) => o.letter === 'Y');
        const m = this.place(reg & 7, isBitString ? [reg] : [], hasRex, isShort, isVsib);
        before.push(...m.before);
        tail.push(...m.bytes);
        rex |= m.rex;
        data = m.data;
        if (instruction.lockable && operands[0]!.letter !== 'G' && random.chance(0.1)) prefixes.unshift(0xf0);
      } else {
        const rm = e ? this.operand(isByte('EFRN'), hasRex) : random.below(hasRex && !/[QT]/.test(form.text) ? 16 : 8);
        rex |= upper(rm);
        tail.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
      }
    } else if (form.modrm >= 0) tail.push(form.modrm);
    else if (form.span === 8) {
      const z = operands.find((o) => o.letter === 'Z');
      if (z) {
        const reg = this.operand(z.width === 'b', hasRex);
        if (name === 'pop' && reg === RSP && flavour.portable) return false;
        rex |= upper(reg);
        low = reg & 7;
      }
    } else if (form.span === 7) {
      const reg = this.operand(false, hasRex);
      if ((reg & 7) === 7 || counters.includes(reg + 1) || (reg + 1 === RSP && flavour.portable)) return false;
      low = reg & 7;
      rex |= upper(reg + 1);
      if (upper(reg + 1) !== upper(reg)) return false;
    }
    if (form.span > 1 && form.span < 7) low = random.below(form.span);

    const opcode: number[] = [];
    if (form.vex === null) {
      if (rex !== 0) opcode.push(rex);
      if (form.map) opcode.push(0x0f);
      if (form.map > 1) opcode.push(form.map === 2 ? 0x38 : 0x3a);
      opcode.push(form.opcode + low);
    } else {
      const isGeneral = operands.some((o) => o.letter === 'B');
      const register = isGeneral ? this.operand(false, true) : random.below(16);
      opcode.push(...vexBytes(form, { register, choice: random.u32(), rex }));
    }
    const trailing: number[] = [];
    for (const o of operands) {
      if (o.letter === 'O') {
        const at = this.pointer(isShort);
        trailing.push(...(isShort ? word(at) : quad(at)));
      }
      if (o.letter !== 'I' && o.letter !== 'sI' && o.letter !== 'K') continue;
      const whole = isWord ? 2 : isWide && o.text === 'Iv' ? 8 : 4;
      const size = o.letter === 'sI' || o.letter === 'K' || o.width === 'b' ? 1 : o.width === 'w' ? 2 : whole;
      const value = name === 'enter' ? random.below(4) * (size === 2 ? 8 : 1) : random.value();
      trailing.push(...[...word(value), ...word(size === 8 ? random.value() : 0)].slice(0, size));
    }
    const usesRax = operands.some((o) => ['AL', 'eAX'].includes(o.letter));
    if (!isVector(form) && usesRax && counters.includes(0)) return false;
    const bytes = [...before, ...prefixes, ...opcode, ...tail];
    const at = bytes.length - 4;
    bytes.push(...trailing);
    // On the host undefined flags are what they are: a comparison with a constant defines them anew.
    const undefinedFlags = instruction.undefinedFlags ?? '';
    const isLogic = undefinedFlags === 'A' && /^(and|or|xor|test)$/.test(name);
    if (flavour.portable && undefinedFlags !== '' && !isLogic) {
      bytes.push(0x83, 0xf8 | random.below(8), random.below(256));
      // 16-bit double shifts by more than 16 leave anything in the register.
      if (/^sh[lr]d$/.test(name) && isWord) return false;
    }
    const item: Item = { what: `${name} (${form.text})`, bytes };
    if (data === undefined) this.add(item);
    else this.add({ ...item, fix: { at, kind: 'rel32', label: 'data', add: data - trailing.length } });
    return true;
  }

  /** A value for a register: half of them addresses. */
  register64(i: number): number[] {
    const { random } = this;
    if (i === RSP) return [FIRST_ESP, 0];
    if ((POINTERS as readonly number[]).includes(i)) {
      const at = this.pointer();
      return [(at % TWO32) >>> 0, Math.floor(at / TWO32) >>> 0];
    }
    const low = random.value();
    return [low, random.chance(0.3) ? (low >> 31) >>> 0 : random.value()];
  }
}

/** The 64-bit program of a seed. */
export function generateLong(seed: number, flavour: Flavour): Program {
  const random = new Random(seed ^ 0x6464_0000);
  const generator = new LongGenerator(random, flavour, random.between(4, 60));
  const regs = Array.from({ length: 16 }, (_, i) => generator.register64(i)).flat();
  const eflags = 0x202 | (random.u32() & 0x8d5);
  const start = randomStart(random);
  generator.generate();
  return { seed, isLong: true, regs, eflags, start, items: generator.items };
}
