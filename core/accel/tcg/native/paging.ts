/** Everyday TLB misses in WebAssembly: the page walk of every mode, accessed and dirty bits, and the new TLB entry. `fill` answers
 *  where the entry is, or 0 when TypeScript has to look (target/x86/mmu/page-walk.ts, guest-memory.ts): a fault, a device, a page
 *  whose backing or whose right to be written nobody has asked for yet, a rule that is rare. It then has changed nothing but
 *  accessed bits above the leaf, which the exact walk would set as well. Intel SDM volume 3A chapter 4. */

import type { PagingFeatures } from '../../../target/x86/mmu/page-walk.ts';
import { PTE } from '../../../target/x86/mmu/page-walk.ts';
import { CR0, CR4, CS, EFER, FIELDS, SEGMENT } from '../../../target/x86/state.ts';
import { ACCESS } from '../../../target/x86/system-ops.ts';
import { type Body, type Callee, defineFunction, i32, i64, type Local, type Value } from '../../../wasm/expressions.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../wasm/writer.ts';
import { LONG_BANK, MAPPED_BITS, PAGE, type PagingLayout, TABLES } from '../guest-memory.ts';
import { SLOT, TLB } from '../interpreter/layout.ts';

const none = i32(0);
const BANK_BYTES = TLB.entries * TLB.entryBytes;
const NX_HIGH = 0x8000_0000;
/** Bit 12 of a large page is PAT; those above it, up to the page, are reserved. */
const LARGE_RESERVED = 0x3fff_e000;
const MANY = 0xffff;

/** What the module calls when `fill` does not know. */
export interface SlowPaths {
  readonly slowRead: Callee;
  readonly slowUpdate: Callee;
  readonly slowWrite: Callee;
  readonly slowReadLong: Callee;
  readonly slowUpdateLong: Callee;
  readonly slowWriteLong: Callee;
  readonly storeScratch: Callee;
  readonly storeScratchLong: Callee;
  readonly lookup: Callee;
}

/** What the other natives ask where the TLB does not know. */
export interface Fills {
  /** (low, high, access, user) -> address of the entry, or 0. */
  readonly fill: Callee;
  /** (linear, bytes) -> addend, or 1. */
  readonly fillRead: Callee;
  readonly fillWrite: Callee;
  readonly fillReadLong: Callee;
  readonly fillWriteLong: Callee;
}
export function importFills(module: ModuleWriter): Fills {
  const fill = (name: string, ...params: number[]): Callee => {
    const index = module.importFunction('e', name, params, [I32]);
    return { index, params, result: I32 };
  };
  return {
    fill: fill('fill', I32, I32, I32, I32),
    fillRead: fill('fillRead', I32, I32),
    fillWrite: fill('fillWrite', I32, I32),
    fillReadLong: fill('fillReadLong', I64, I32),
    fillWriteLong: fill('fillWriteLong', I64, I32),
  };
}

export function definePaging(
  module: ModuleWriter,
  slow: SlowPaths,
  state: number,
  jumpCache: number,
  at: PagingLayout,
  features: PagingFeatures,
): void {
  const highAddress = features.physBits >= 64 ? 0x000f_ffff : 2 ** (features.physBits - 32) - 1;
  const field = (b: Body, f: { readonly offset: number }, more = 0) =>
    b.load(OP.i32Load, none, state + f.offset + more);
  const giveUpIf = (b: Body, condition: Value) => b.unlikely(condition, () => b.return(0));

  /** Where a word of a paging structure lies in the arena; 0: not in RAM that is known. */
  const tableWord = defineFunction(module, [I64], I32, (b, phys) => {
    giveUpIf(b, phys!.shrU(MAPPED_BITS).ne(0));
    const low = b.let(phys!.narrow());
    const known = b.load(OP.i32Load, phys!.shrU(12).narrow().shl(2), at.pageMap);
    giveUpIf(b, known.and(PAGE.ram).eqz());
    b.result(known.and(-4096).or(low.and(0xfff)));
  });
  /** Sets bits in the lower half of an entry whose value is `old`; 1: not without telling somebody. */
  const setBits = defineFunction(module, [I32, I32, I32], I32, (b, word, old, bits) => {
    b.if(old!.and(bits!).ne(bits!), () => {
      b.unlikely(b.load(OP.i32Load8U, word!.shrU(12), at.open).eqz(), () => b.return(1));
      b.store(OP.i32Store, word!, 0, old!.or(bits!));
    });
    b.result(none);
  });

  /** Walks 8-byte entries from `levels` down: two (PAE, behind its root) or four. What it finds is in the module's scratch words. */
  const walk64 = (b: Body, linear: Local, table: Local, levels: number, found: Found) => {
    const reserved = b.let(
      field(b, FIELDS.efer)
        .and(features.nx ? EFER.NXE : 0)
        .eqz()
        .select(i32(NX_HIGH), 0)
        .or(
          field(b, FIELDS.efer)
            .and(EFER.LMA)
            .eqz()
            .select(i32(0x7fff_ffff & ~highAddress), i32(0x000f_ffff & ~highAddress)),
        ),
    );
    found.rights.set(PTE.RW | PTE.US);
    b.block((done) => {
      for (let level = levels; level > 0; level--) {
        const shift = 12 + 9 * (level - 1);
        const address = table.add(linear.shrU(shift).and(0x1ff).shl(3));
        const word = b.call(tableWord, address);
        giveUpIf(b, word.eqz());
        const low = b.load(OP.i32Load, word, 0);
        const high = b.load(OP.i32Load, word, 4);
        giveUpIf(b, low.and(PTE.P).eqz().or(high.and(reserved)));
        found.rights.set(found.rights.and(low));
        found.noExecute.set(found.noExecute.or(high.shrU(31)));
        const page = b.let(
          high
            .and(highAddress & 0x000f_ffff)
            .wideU()
            .shl(32)
            .or(low.and(0xffff_f000 | 0).wideU()),
        );
        const leaf = (bytes: number) => {
          found.word.set(word);
          found.leaf.set(low);
          found.isLarge.set(bytes > 4096 ? (bytes > TABLES.largestRegion ? 2 : 1) : 0);
          found.page.set(page.and(-bytes).or(linear.and(bytes - 4096)));
        };
        if (level > 1) {
          b.if(low.and(PTE.PS), () => {
            if (level === 4 || (level === 3 && !features.pdpe1gb)) {
              b.return(0);
              return;
            }
            const bytes = 2 ** shift;
            giveUpIf(b, low.and((bytes - 1) & LARGE_RESERVED));
            leaf(bytes);
            done();
          });
          giveUpIf(b, b.call(setBits, word, low, i32(PTE.A)));
          table.set(page);
        } else leaf(4096);
      }
    });
  };
  const walk32 = (b: Body, linear: Local, found: Found) => {
    const low = b.let(linear.narrow());
    const directory = field(b, FIELDS.cr3).and(-4096);
    const pdeWord = b.call(tableWord, directory.or(low.shrU(22).shl(2)).wideU());
    giveUpIf(b, pdeWord.eqz());
    const pde = b.load(OP.i32Load, pdeWord, 0);
    giveUpIf(b, pde.and(PTE.P).eqz());
    b.block((done) => {
      b.if(pde.and(PTE.PS).ne(0).and(field(b, FIELDS.cr4).and(CR4.PSE).ne(0)), () => {
        // Addresses of more than 32 bits are left to the exact walk.
        giveUpIf(b, pde.and(0x003f_e000));
        found.word.set(pdeWord);
        found.leaf.set(pde);
        found.rights.set(pde);
        found.isLarge.set(1);
        found.page.set(
          pde
            .and(0xffc0_0000 | 0)
            .or(low.and(0x003f_f000))
            .wideU(),
        );
        done();
      });
      giveUpIf(b, b.call(setBits, pdeWord, pde, i32(PTE.A)));
      const word = b.call(tableWord, pde.and(-4096).or(low.shrU(12).and(0x3ff).shl(2)).wideU());
      giveUpIf(b, word.eqz());
      const pte = b.load(OP.i32Load, word, 0);
      giveUpIf(b, pte.and(PTE.P).eqz());
      found.word.set(word);
      found.leaf.set(pte);
      found.rights.set(pde.and(pte));
      found.page.set(pte.and(-4096).wideU());
    });
  };
  interface Found {
    /** Page of 4 KiB that the address lies in. */
    readonly page: Local;
    readonly rights: Local;
    readonly noExecute: Local;
    /** The leaf and where it lies. */
    readonly leaf: Local;
    readonly word: Local;
    /** 1: a large page, 2: one larger than a region of the list (guest-memory.ts). */
    readonly isLarge: Local;
  }

  /** (linear, access, user) -> address of the TLB entry, which now has the right asked for. */
  const fill = defineFunction(module, [I64, I32, I32], I32, (b, linear, access, user) => {
    giveUpIf(b, b.load(OP.i32Load, none, at.tables + TABLES.isOff).or(field(b, FIELDS.a20Mask).ne(-1)));
    const found: Found = {
      page: b.variable(I64),
      rights: b.variable(I32),
      noExecute: b.variable(I32),
      leaf: b.variable(I32),
      word: b.variable(I32),
      isLarge: b.variable(I32),
    };
    const cr0 = field(b, FIELDS.cr0);
    const cr4 = field(b, FIELDS.cr4);
    const isLongMode = b.let(field(b, FIELDS.efer).and(EFER.LMA).ne(0));
    const isWrite = b.let(access!.eq(ACCESS.write));
    const isWritable = b.variable(I32);
    const isExecutable = b.variable(I32);
    b.if(
      cr0.and(CR0.PG | 0).eqz(),
      () => {
        found.page.set(linear!.and(-4096));
        isWritable.set(1);
        isExecutable.set(1);
      },
      () => {
        b.if(
          isLongMode,
          () => {
            giveUpIf(b, linear!.shrS(47).add(1).shrU(1).ne(0));
            const root = field(b, FIELDS.cr3, 4)
              .and(highAddress & 0x000f_ffff)
              .wideU()
              .shl(32);
            const table = b.let(root.or(field(b, FIELDS.cr3).and(-4096).wideU()));
            walk64(b, linear!, table, 4, found);
          },
          () =>
            b.if(
              cr4.and(CR4.PAE),
              () => {
                const root = field(b, FIELDS.cr3)
                  .and(0xffff_ffe0 | 0)
                  .wideU();
                const word = b.call(tableWord, root.add(linear!.shrU(30).and(3).shl(3)));
                giveUpIf(b, word.eqz());
                const low = b.load(OP.i32Load, word, 0);
                const high = b.load(OP.i32Load, word, 4);
                giveUpIf(b, low.and(PTE.P).eqz().or(low.and(0x1e6)).or(high.and(~highAddress)));
                const table = b.let(high.wideU().shl(32).or(low.and(-4096).wideU()));
                walk64(b, linear!, table, 2, found);
              },
              () => walk32(b, linear!, found),
            ),
        );
        const isUserPage = b.let(found.rights.and(PTE.US).ne(0));
        isWritable.set(found.rights.and(PTE.RW).ne(0));
        isExecutable.set(found.noExecute.eqz());
        b.if(
          user!,
          () => giveUpIf(b, isUserPage.eqz()),
          () => {
            giveUpIf(b, isUserPage.and(cr4.and(CR4.SMAP).ne(0)));
            b.if(cr0.and(CR0.WP).eqz(), () => isWritable.set(1));
            b.if(isUserPage.and(cr4.and(CR4.SMEP).ne(0)), () => isExecutable.set(0));
          },
        );
        giveUpIf(b, isWrite.and(isWritable.eqz()).or(access!.eq(ACCESS.execute).and(isExecutable.eqz())));
      },
    );
    // What backs the page, and whether it may be written without anybody being told.
    giveUpIf(b, found.page.shrU(MAPPED_BITS).ne(0));
    const known = b.load(OP.i32Load, found.page.shrU(12).narrow().shl(2), at.pageMap);
    giveUpIf(b, known.and(PAGE.ram).eqz());
    const backing = b.let(known.and(-4096));
    const isOpen = b.let(
      known
        .and(PAGE.writable)
        .ne(0)
        .and(b.load(OP.i32Load8U, backing.shrU(12), at.open)),
    );
    giveUpIf(b, isWrite.and(isOpen.eqz()));
    b.if(found.word, () => {
      const bits = b.let(isWrite.select(i32(PTE.A | PTE.D), PTE.A));
      giveUpIf(b, b.call(setBits, found.word, found.leaf, bits));
      found.leaf.set(found.leaf.or(bits));
      // A page that is not dirty yet must come here again.
      isWritable.set(isWritable.and(found.leaf.and(PTE.D).ne(0)));
    });

    const isWide = b.let(isLongMode.and(field(b, FIELDS.long).or(linear!.shrU(32).narrow()).ne(0)));
    const bank = user!.ne(0).add(isWide.mul(LONG_BANK));
    const low = b.let(linear!.narrow());
    const entry = b.let(low.shrU(TLB.indexShift).and(TLB.indexMask).add(bank.mul(BANK_BYTES)).add(at.tlb));
    const tag = b.let(linear!.and(-4096));
    const addend = b.let(backing.sub(low.and(-4096)));
    const isThere = b
      .load(OP.i64Load, entry, TLB.read)
      .eq(tag)
      .and(b.load(OP.i32Load, entry, TLB.addend).eq(addend));
    b.if(isThere.eqz(), () => {
      b.if(b.load(OP.i32Load, entry, TLB.kind).eqz(), () => {
        const count = b.load(OP.i32Load, none, at.tables + TABLES.filledCount);
        b.store(OP.i32Store16, count.shl(1), at.tables + TABLES.filled, entry.sub(at.tlb).shrU(5));
        b.store(OP.i32Store, none, at.tables + TABLES.filledCount, count.add(1));
      });
      b.if(found.isLarge, () => {
        b.store(OP.i32Store8, low.shrU(22), at.tables + TABLES.largeRegions, i32(1));
        b.if(found.isLarge.eq(2), () => b.store(OP.i32Store, none, at.tables + TABLES.hasHugePages, i32(1)));
      });
      const isGlobal = found.leaf.and(PTE.G).ne(0).and(cr4.and(CR4.PGE).ne(0));
      const kind = i32(SLOT.used)
        .or(isGlobal.select(i32(SLOT.global), 0))
        .or(found.isLarge.ne(0).select(i32(SLOT.large), 0));
      const invalid = b.let(tag.or(TLB.invalid));
      b.store(OP.i64Store, entry, TLB.read, tag);
      b.store(OP.i64Store, entry, TLB.write, invalid);
      b.store(OP.i64Store, entry, TLB.execute, invalid);
      b.store(OP.i32Store, entry, TLB.addend, addend);
      b.store(OP.i32Store, entry, TLB.kind, kind);
    });
    b.if(isExecutable, () => b.store(OP.i64Store, entry, TLB.execute, tag));
    b.if(isWritable.and(isOpen), () => {
      b.store(OP.i64Store, entry, TLB.write, tag);
      const writer = b.let(backing.shrU(11));
      const slot = b.let(entry.sub(at.tlb).shrU(5).add(1));
      const old = b.load(OP.i32Load16U, writer, at.writers);
      const isOnly = old.eqz().or(old.eq(slot));
      b.store(OP.i32Store16, writer, at.writers, isOnly.select(slot, MANY));
    });
    b.result(entry);
  });

  const isUser = (b: Body) => b.let(field(b, FIELDS.cpl).eq(3));
  const isInPage = (low: Value, bytes: Value) => low.and(0xfff).add(bytes).leU(4096);
  const joined = (low: Local, high: Local) => low.wideU().or(high.wideU().shl(32));
  defineFunction(
    module,
    [I32, I32, I32, I32],
    I32,
    (b, low, high, access, user) => b.result(b.call(fill, joined(low!, high!), access!, user!)),
    'fill',
  );

  /** (linear, bytes) -> addend, or 1: for compiled code. */
  const find = (name: string, type: number, access: number) =>
    defineFunction(
      module,
      [type, I32],
      I32,
      (b, given, bytes) => {
        const linear = b.let(type === I64 ? given! : given!.wideU());
        b.unlikely(isInPage(linear.narrow(), bytes!).eqz(), () => b.return(1));
        const entry = b.call(fill, linear, access, isUser(b));
        b.unlikely(entry.eqz(), () => b.return(1));
        b.result(b.load(OP.i32Load, entry, TLB.addend));
      },
      name,
    );
  find('fillRead', I32, ACCESS.read);
  find('fillWrite', I32, ACCESS.write);
  find('fillReadLong', I64, ACCESS.read);
  find('fillWriteLong', I64, ACCESS.write);

  /** (linear, access) -> what its page adds to the address, or 1; from the TLB if that is there already. */
  const pageAddend = defineFunction(module, [I64, I32], I32, (b, linear, access) => {
    b.unlikely(b.load(OP.i32Load, none, at.tables + TABLES.isOff), () => b.return(1));
    const bank = field(b, FIELDS.tlbBase);
    const entry = b.let(linear!.narrow().shrU(TLB.indexShift).and(TLB.indexMask).add(bank));
    const tag = b.load(OP.i64Load, entry.add(access!.eq(ACCESS.write).select(i32(TLB.write), TLB.read)), 0);
    b.if(tag.ne(linear!.and(-4096)), () => {
      entry.set(b.call(fill, linear!, access!, isUser(b)));
      b.unlikely(entry.eqz(), () => b.return(1));
    });
    b.result(b.load(OP.i32Load, entry, TLB.addend));
  });
  const SCRATCH = state + FIELDS.scratch.offset;
  /** Runs `body` with the arena addresses of every byte of an access, and the byte's number, if both pages are RAM at hand. */
  const bytewise = (
    b: Body,
    linear: Local,
    size: Value,
    isLong: boolean,
    access: number,
    body: (place: Local, i: Local) => void,
    end: () => void,
  ) => {
    const head = b.let(i32(4096).sub(linear.narrow().and(0xfff)));
    const next = b.let(linear.add(head.wideU()));
    if (!isLong) next.set(next.and(0xffff_ffff));
    const first = b.call(pageAddend, linear, access);
    const second = b.variable(I32);
    b.if(first.ne(1), () => {
      second.set(b.call(pageAddend, next, access));
      b.if(second.ne(1), () => {
        const i = b.let(none);
        b.loop((again) => {
          const low = linear.narrow().add(i);
          const place = b.let(i.ltU(head).select(first.add(low), second.add(low)));
          body(place, i);
          i.set(i.add(1));
          b.if(i.ltU(size), again);
        });
        end();
      });
    });
  };
  /** The slow paths of the interpreter: where the walk knows, they go on as if the TLB had known. */
  const through = (
    name: Exclude<keyof SlowPaths, 'lookup'>,
    isLong: boolean,
    sizeAt: number,
    access: number,
    inPage: (b: Body, pointer: Local, rest: readonly Local[]) => void,
    across: ((b: Body, place: Local, i: Local, rest: readonly Local[]) => void) | null,
    end: (b: Body) => void,
  ) => {
    const { params, result } = slow[name];
    defineFunction(
      module,
      params,
      result,
      (b, ...args) => {
        const rest = args.slice(isLong ? 2 : 1);
        const linear = b.let(isLong ? joined(args[0]!, args[1]!) : args[0]!.wideU());
        const size = rest[sizeAt]!;
        b.if(
          isInPage(args[0]!, size),
          () => {
            const entry = b.call(fill, linear, access, isUser(b));
            b.if(entry, () => inPage(b, b.let(b.load(OP.i32Load, entry, TLB.addend).add(args[0]!)), rest));
          },
          () => {
            if (across)
              bytewise(
                b,
                linear,
                size,
                isLong,
                access,
                (place, i) => across(b, place, i, rest),
                () => end(b),
              );
          },
        );
        const answer = b.call(slow[name], ...args);
        if (result !== VOID) b.result(answer);
      },
      name,
    );
  };
  for (const isLong of [false, true]) {
    const called = <T extends string>(name: T) => (isLong ? `${name}Long` : name) as T | `${T}Long`;
    const gather = (b: Body, place: Local, i: Local) =>
      b.store(OP.i32Store8, i, SCRATCH, b.load(OP.i32Load8U, place, 0));
    const give = (b: Body, pointer: Local) => b.return(pointer);
    through(called('slowRead'), isLong, 1, ACCESS.read, give, gather, (b) => b.return(SCRATCH));
    // What is changed in two pages goes back in two pieces, which is not done here.
    through(called('slowUpdate'), isLong, 1, ACCESS.write, give, null, () => {});
    through(
      called('slowWrite'),
      isLong,
      1,
      ACCESS.write,
      (b, pointer, [value, size]) => {
        const small = () =>
          b.if(
            size!.eq(2),
            () => b.store(OP.i32Store16, pointer, 0, value!),
            () => b.store(OP.i32Store8, pointer, 0, value!),
          );
        b.if(size!.eq(4), () => b.store(OP.i32Store, pointer, 0, value!), small);
        b.return();
      },
      (b, place, i, [value]) => b.store(OP.i32Store8, place, 0, value!.shrU(i.shl(3))),
      (b) => b.return(),
    );
    const spread = (b: Body, place: Local, i: Local) =>
      b.store(OP.i32Store8, place, 0, b.load(OP.i32Load8U, i, SCRATCH));
    through(
      called('storeScratch'),
      isLong,
      1,
      ACCESS.write,
      (b, pointer, [, size]) => {
        // 8, 10, 16 bytes.
        const i = b.let(none);
        b.loop((again) => {
          b.store(OP.i32Store16, pointer.add(i), 0, b.load(OP.i32Load16U, i, SCRATCH));
          i.set(i.add(2));
          b.if(i.ltU(size!), again);
        });
        b.return();
      },
      spread,
      (b) => b.return(),
    );
  }

  const cs = (b: Body, word: number) => field(b, FIELDS.segments, CS * FIELDS.segments.stride + word);
  /** Behind a jump that the jump cache did not answer, RIP set and paid for: the TLB may have forgotten the page only. */
  const seek = (name: string, type: number) =>
    defineFunction(
      module,
      [type],
      I32,
      (b, given) => {
        const linear = b.let(type === I64 ? given! : given!.wideU());
        const low = b.let(linear.narrow());
        const first = b.let(low.xor(low.shrU(TLB.jumpHashShift)).and(TLB.jumpMask).shl(4).add(jumpCache));
        const word = (entry: Local, index: number) => b.load(OP.i32Load, entry, index * 4);
        const isIn = (entry: Local) =>
          word(entry, 0)
            .eq(low)
            .and(word(entry, 1).eq(field(b, FIELDS.mode)));
        const slot = b.let(first);
        b.if(isIn(slot).eqz(), () => {
          const index = low.mul(TLB.secondFactor | 0).shrU(32 - TLB.secondBits);
          slot.set(index.add(TLB.jumpEntries).shl(4).add(jumpCache));
        });
        // What lies beyond the limit of CS is not looked at: a walk would set accessed bits.
        const within = type === I64 ? i32(1) : low.sub(cs(b, SEGMENT.base)).leU(cs(b, SEGMENT.limit));
        b.if(isIn(slot).and(within), () => {
          const entry = b.call(fill, linear, ACCESS.execute, isUser(b));
          b.if(entry, () => {
            const place = b.load(OP.i32Load, entry, TLB.addend).add(low);
            b.if(word(slot, 3).eq(place), () => {
              for (const half of [0, 8]) b.store(OP.i64Store, first, half, b.load(OP.i64Load, slot, half));
              b.return(word(slot, 2));
            });
          });
        });
        b.result(b.call(slow.lookup));
      },
      name,
    );
  seek('seek', I32);
  seek('seekLong', I64);

  /** Drops every translation, or all but global ones. */
  defineFunction(
    module,
    [I32],
    VOID,
    (b, keepGlobal) => {
      const count = b.load(OP.i32Load, none, at.tables + TABLES.filledCount);
      const kept = b.let(none);
      const from = b.let(none);
      const kind = keepGlobal!.ne(0).select(i32(SLOT.global), 0);
      const keeps = b.let(kind);
      b.loop((again) => {
        b.if(from.ltU(count), () => {
          const slot = b.load(OP.i32Load16U, from.shl(1), at.tables + TABLES.filled);
          const entry = b.let(slot.shl(5).add(at.tlb));
          b.if(
            b.load(OP.i32Load, entry, TLB.kind).and(keeps),
            () => {
              b.store(OP.i32Store16, kept.shl(1), at.tables + TABLES.filled, slot);
              kept.set(kept.add(1));
            },
            () => {
              for (const right of [TLB.read, TLB.write, TLB.execute])
                b.store(OP.i64Store, entry, right, i64(TLB.invalid));
              b.store(OP.i32Store, entry, TLB.kind, none);
            },
          );
          from.set(from.add(1));
          again();
        });
      });
      b.store(OP.i32Store, none, at.tables + TABLES.filledCount, kept);
    },
    'flush',
  );
}
