/** Privileged and system instructions, ports, identification, flags that are not arithmetic. The work is done by helpers. */

import { VECTOR } from '../fault.ts';
import { CR0, EAX, ECX, EDX, EFLAGS } from '../state.ts';
import { instruction, type Ops } from './ops.ts';

/** #GP(0) outside CPL 0. */
function requirePrivilege<V>(o: Ops<V>): void {
  o.when(o.field('cpl'), () => void o.call('denied'), undefined, false);
}
/** #UD in real and virtual-8086 mode. */
function requireProtected<V>(o: Ops<V>): void {
  const isReal = o.eqz(o.and(o.field('cr0'), o.const(CR0.PE)));
  o.when(o.or(isReal, o.and(o.field('eflagsSystem'), o.const(EFLAGS.VM))), () => o.raise(VECTOR.UD), undefined, false);
}

/** name: encoding, an instruction that is one helper call without operands. */
const plain = (text: string, ends?: 'system') => {
  const [name, code] = text.split(':') as [string, string];
  return instruction({
    name,
    encodings: code.split('|'),
    ...(ends ? { ends } : {}),
    semantics: (o) => void o.call(name),
  });
};

/** STI where nothing waits. */
function enableInterrupts<V>(o: Ops<V>): void {
  const flags = o.field('eflagsSystem');
  o.giveUp(o.or(o.or(o.field('cpl'), o.field('interruptWaits')), o.and(flags, o.const(EFLAGS.IF | EFLAGS.TF))));
  o.setField('eflagsSystem', o.or(flags, o.const(EFLAGS.IF)));
  o.setField('interruptShadow', o.const(1));
}

export const SYSTEM = [
  instruction({
    name: 'cli',
    encodings: ['fa'],
    // CPL 0 needs no look at IOPL.
    semantics: (o) =>
      o.when(
        o.field('cpl'),
        () => void o.call('cli'),
        () => o.setField('eflagsSystem', o.and(o.field('eflagsSystem'), o.const(~EFLAGS.IF))),
      ),
  }),
  instruction({
    name: 'sti',
    encodings: ['fb'],
    ends: 'system',
    semantics: (o) => void o.call('sti'),
    quick: enableInterrupts,
    quickLong: enableInterrupts,
  }),
  instruction({
    name: 'cld',
    encodings: ['fc'],
    semantics: (o) => {
      o.setField('eflagsSystem', o.and(o.field('eflagsSystem'), o.const(~EFLAGS.DF)));
      o.setField('direction', o.const(1));
    },
  }),
  instruction({
    name: 'std',
    encodings: ['fd'],
    semantics: (o) => {
      o.setField('eflagsSystem', o.or(o.field('eflagsSystem'), o.const(EFLAGS.DF)));
      o.setField('direction', o.const(-1));
    },
  }),
  // EFLAGS.AC lets CPL 0 reach pages of programs under CR4.SMAP.
  ...[
    { name: 'clac', code: 'ca', isSet: false },
    { name: 'stac', code: 'cb', isSet: true },
  ].map(({ name, code, isSet }) =>
    instruction({
      name,
      encodings: [`np 0f 01 ${code}`],
      semantics: (o) => {
        o.when(o.field('cpl'), () => o.raise(VECTOR.UD), undefined, false);
        const flags = o.field('eflagsSystem');
        o.setField('eflagsSystem', isSet ? o.or(flags, o.const(EFLAGS.AC)) : o.and(flags, o.const(~EFLAGS.AC)));
      },
    }),
  ),
  plain('hlt:f4', 'system'),
  plain('pause:f3 90'),
  plain('cpuid:0f a2'),
  ...['rdtsc:0f 31', 'rdtscp:0f 01 f9'].map((text) => {
    const [name, encoding] = text.split(':') as [string, string];
    return instruction({
      name,
      encodings: [encoding],
      natives: ['readTsc'],
      semantics: (o) =>
        o.rarely(
          o.native('readTsc'),
          () => o.call(name),
          () => {
            o.reg(EAX, 32).store(o.field('tscLow'));
            o.reg(EDX, 32).store(o.field('tscHigh'));
            if (name === 'rdtscp') o.reg(ECX, 32).store(o.field('tscAux'));
          },
        ),
    });
  }),
  plain('rdpmc:0f 33'),
  plain('rdmsr:0f 32'),
  plain('wrmsr:0f 30', 'system'),
  plain('clts:0f 06', 'system'),
  plain('invd:0f 08', 'system'),
  plain('wbinvd:0f 09', 'system'),
  plain('rsm:0f aa', 'system'),
  plain('ud2:0f 0b', 'system'),
  plain('salc:d6'),
  instruction({
    name: 'ud0',
    encodings: ['0f ff Gv,Ev', '0f b9 Gv,Ev'],
    dst: 'r',
    ends: 'system',
    addressOnly: true,
    semantics: (o) => o.raise(VECTOR.UD),
  }),
  // Ports.
  ...[
    { name: 'inI', encodings: ['e4 AL,Ib', 'e5 eAX,Ib'] },
    { name: 'inDx', encodings: ['ec AL,DX', 'ed eAX,DX'] },
  ].map(({ name, encodings }) =>
    instruction({
      name,
      encodings,
      dst: 'w',
      semantics: (o, dst, port) => dst.store(o.call('in', port.load(), o.const(dst.width / 8))),
    }),
  ),
  ...[
    { name: 'outI', encodings: ['e6 Ib,AL', 'e7 Ib,eAX'] },
    { name: 'outDx', encodings: ['ee DX,AL', 'ef DX,eAX'] },
  ].map(({ name, encodings }) =>
    instruction({
      name,
      encodings,
      dst: 'r',
      ends: 'system',
      semantics: (o, port, src) => void o.call('out', port.load(), o.const(src.width / 8), src.load()),
    }),
  ),
  // Descriptor tables and task register.
  ...[
    { name: 'sgdt', digit: 0 },
    { name: 'sidt', digit: 1 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f 01 /${digit} Mv`],
      dst: 'w',
      variants: ['opSize'],
      semantics: (o, at) => void o.call(name, at.address()),
    }),
  ),
  ...[
    { name: 'lgdt', digit: 2 },
    { name: 'lidt', digit: 3 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f 01 /${digit} Mv`],
      dst: 'r',
      ends: 'system',
      variants: ['opSize'],
      guarded: true,
      semantics: (o, at) => {
        requirePrivilege(o);
        o.call(name, at.address(), o.const(o.form.opSize / 8));
      },
    }),
  ),
  instruction({
    name: 'smsw',
    encodings: ['0f 01 /4 Fw'],
    dst: 'w',
    semantics: (o, dst) => dst.store(o.call('smsw')),
  }),
  instruction({
    name: 'lmsw',
    encodings: ['0f 01 /6 Ew'],
    dst: 'r',
    ends: 'system',
    guarded: true,
    semantics: (o, src) => {
      requirePrivilege(o);
      o.call('lmsw', src.load());
    },
  }),
  instruction({
    name: 'invlpg',
    encodings: ['0f 01 /7 Mb'],
    dst: 'r',
    ends: 'system',
    guarded: true,
    semantics: (o, at) => {
      requirePrivilege(o);
      o.call('invlpg', at.address());
    },
  }),
  instruction({
    name: 'invpcid',
    encodings: ['66 0f 38 82 Gm,Mx'],
    dst: 'r',
    ends: 'system',
    guarded: true,
    semantics: (o, type, at) => {
      requirePrivilege(o);
      o.call('invpcid', at.address(), type.load());
    },
  }),
  ...[
    { name: 'sldt', digit: 0 },
    { name: 'str', digit: 1 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f 00 /${digit} Fw`],
      dst: 'w',
      guarded: true,
      semantics: (o, dst) => {
        requireProtected(o);
        dst.store(o.call(name));
      },
    }),
  ),
  ...[
    { name: 'lldt', digit: 2 },
    { name: 'ltr', digit: 3 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f 00 /${digit} Ew`],
      dst: 'r',
      ends: 'system',
      guarded: true,
      semantics: (o, src) => {
        requireProtected(o);
        requirePrivilege(o);
        o.call(name, src.load());
      },
    }),
  ),
  ...[
    { name: 'verr', digit: 4 },
    { name: 'verw', digit: 5 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f 00 /${digit} Ew`],
      dst: 'r',
      writesFlags: 'Z',
      guarded: true,
      semantics: (o, src) => {
        requireProtected(o);
        o.call(name, src.load());
      },
    }),
  ),
  ...['lar:0f 02', 'lsl:0f 03'].map((text) => {
    const [name, code] = text.split(':') as [string, string];
    return instruction({
      name,
      encodings: [`${code} Gv,Ew`],
      writesFlags: 'Z',
      guarded: true,
      semantics: (o, dst, src) => {
        requireProtected(o);
        dst.store(o.call(name, src.load(), o.narrow(dst.load())));
      },
    });
  }),
  instruction({
    name: 'arpl',
    encodings: ['63 Ew,Gw'],
    writesFlags: 'Z',
    guarded: true,
    semantics: (o, dst, src) => {
      requireProtected(o);
      const a = dst.modify();
      const rpl = o.and(src.load(), o.const(3));
      const isLower = o.ltU(o.and(a, o.const(3)), rpl);
      dst.store(o.select(isLower, o.or(o.and(a, o.const(0xfffc)), rpl), a));
      o.setFlag('Z', isLower);
    },
  }),
  // Control and debug registers.
  instruction({
    name: 'movFromCr',
    encodings: ['0f 20 Nd,Cd'],
    dst: 'w',
    semantics: (o, dst, index) => dst.store(o.callWide('readCr', index.load())),
  }),
  instruction({
    name: 'movToCr',
    encodings: ['0f 22 Cd,Nd'],
    dst: 'r',
    ends: 'system',
    semantics: (o, index, src) => void o.call('writeCr', index.load(), src.load()),
  }),
  instruction({
    name: 'movFromDr',
    encodings: ['0f 21 Nd,Dd'],
    dst: 'w',
    semantics: (o, dst, index) => dst.store(o.callWide('readDr', index.load())),
  }),
  instruction({
    name: 'movToDr',
    encodings: ['0f 23 Dd,Nd'],
    dst: 'r',
    ends: 'system',
    semantics: (o, index, src) => void o.call('writeDr', index.load(), src.load()),
  }),
  instruction({
    name: 'cmpxchg8b',
    encodings: ['0f c7 /1 Mq'],
    writesFlags: 'Z',
    lockable: true,
    semantics: (o, dst) => {
      const join = (high: number, low: number) =>
        o.or(o.shl(o.wideU(o.reg(high, 32).load()), 32), o.wideU(o.reg(low, 32).load()));
      const old = dst.modify();
      const isEqual = o.eq(old, join(EDX, EAX));
      dst.store(o.select(isEqual, join(1, 3), old));
      o.when(o.eqz(isEqual), () => {
        o.reg(EAX, 32).store(o.narrow(old));
        o.reg(EDX, 32).store(o.narrow(o.shrU(old, 32)));
      });
      o.setFlag('Z', isEqual);
    },
  }),
  // Nothing is cached: flushing a line is reading a byte of it.
  ...['clflush:np 0f ae /7 Mb', 'clflushopt:66 0f ae /7 Mb', 'clwb:66 0f ae /6 Mb'].map((text) => {
    const [name, code] = text.split(':') as [string, string];
    return instruction({ name, encodings: [code], dst: 'r', semantics: (_o, at) => void at.load() });
  }),
  ...[
    { name: 'rdrand', digit: 6 },
    { name: 'rdseed', digit: 7 },
  ].map(({ name, digit }) =>
    instruction({
      name,
      encodings: [`0f c7 /${digit} Rv`],
      dst: 'w',
      writesFlags: 'OSZAPC',
      semantics: (o, dst) => {
        const low = o.call('random');
        dst.store(dst.width === 64 ? o.or(o.wideU(low), o.shl(o.wideU(o.call('random')), 32)) : low);
        o.call('setFlags', o.const(1)); // C: there was a number
      },
    }),
  ),
  // The address is looked at, and that is all: with one CPU and devices that interrupt, MWAIT is HLT.
  instruction({
    name: 'monitor',
    encodings: ['0f 01 c8 Xb'],
    dst: 'r',
    variants: ['addrSize'],
    semantics: (o, segment) => {
      o.call('monitor');
      o.memory(segment.load(), o.reg(EAX, o.form.addrSize).load(), 8).load();
    },
  }),
  plain('mwait:0f 01 c9', 'system'),
  // Any register will do.
  ...['lfence:np 0f ae /5 Rd', 'mfence:np 0f ae /6 Rd', 'sfence:np 0f ae /7 Rd'].map((text) => {
    const [name, code] = text.split(':') as [string, string];
    return instruction({ name, encodings: [code], dst: 'r', semantics: () => {} });
  }),
  /** What the decoder gives for bytes that are no instruction. */
  instruction({
    name: 'invalid',
    encodings: [],
    ends: 'system',
    dst: 'r',
    semantics: (o, code) => void o.call('invalidOpcode', code.load()),
  }),
  /** Fetching the instruction faulted, or it is longer than 15 bytes. */
  instruction({ name: 'tooLong', encodings: [], ends: 'system', semantics: (o) => void o.call('tooLong') }),
];
