/** Jumps, calls, loops, and what leaves the current code segment or privilege. */
import { ECX } from '../state.ts';
import { instruction, type Ops } from './ops.ts';

const CONDITIONS = ['o', 'no', 'b', 'nb', 'z', 'nz', 'be', 'nbe', 's', 'ns', 'p', 'np', 'l', 'nl', 'le', 'nle'];
const hex = (n: number) => n.toString(16).padStart(2, '0');

/** ECX or CX by address size. */
function counter<V>(o: Ops<V>) {
  return o.reg(ECX, o.form.addrSize);
}
function loop<V>(o: Ops<V>, extra: V | null): void {
  const count = counter(o);
  const left = o.sub(count.load(), o.const(1));
  const isLeft = o.ne(count.width === 64 ? left : o.zeroExtend(left, count.width), o.const(0));
  const isTaken = extra === null ? isLeft : o.and(isLeft, extra);
  o.admitRelative(isTaken);
  count.store(left);
  o.branchRelative(isTaken);
}

export const CONTROL = [
  instruction({
    name: 'jmp',
    encodings: ['e9 Jz', 'eb Jb'],
    ends: 'jump',
    variants: ['opSize', 'limit'],
    semantics: (o) => {
      o.admitRelative();
      o.jumpRelative();
    },
  }),
  instruction({
    name: 'jmpE',
    encodings: ['ff /4 Ev'],
    dst: 'r',
    ends: 'jump',
    variants: ['opSize', 'limit'],
    semantics: (o, operand) => {
      const target = operand.load();
      o.admit(target);
      o.jump(target);
    },
  }),
  ...CONDITIONS.map((name, code) =>
    instruction({
      name: `j${name}`,
      encodings: [`${hex(0x70 + code)} Jb`, `0f ${hex(0x80 + code)} Jz`],
      ends: 'jump',
      variants: ['opSize', 'limit'],
      semantics: (o) => {
        const isTaken = o.condition(code);
        o.admitRelative(isTaken);
        o.branchRelative(isTaken);
      },
    }),
  ),
  instruction({
    name: 'call',
    encodings: ['e8 Jz'],
    ends: 'jump',
    variants: ['opSize', 'stack', 'limit'],
    semantics: (o) => {
      o.admitRelative();
      o.push(o.nextEip(), o.form.opSize);
      o.jumpRelative();
    },
  }),
  instruction({
    name: 'callE',
    encodings: ['ff /2 Ev'],
    dst: 'r',
    ends: 'jump',
    variants: ['opSize', 'stack', 'limit'],
    semantics: (o, operand) => {
      const target = operand.load();
      o.admit(target);
      o.push(o.nextEip(), o.form.opSize);
      o.jump(target);
    },
  }),
  instruction({
    name: 'ret',
    encodings: ['c3'],
    ends: 'jump',
    variants: ['opSize', 'stack', 'limit'],
    semantics: (o) => {
      const target = o.stackTop(o.form.opSize);
      o.admit(target);
      o.dropStack(o.form.opSize / 8);
      o.jump(target);
    },
  }),
  instruction({
    name: 'retI',
    encodings: ['c2 Iw'],
    dst: 'r',
    ends: 'jump',
    variants: ['opSize', 'stack', 'limit'],
    semantics: (o, bytes) => {
      const target = o.stackTop(o.form.opSize);
      o.admit(target);
      o.dropStack(o.add(bytes.load(), o.const(o.form.opSize / 8)));
      o.jump(target);
    },
  }),
  instruction({
    name: 'loop',
    encodings: ['e2 Jb'],
    ends: 'jump',
    variants: ['opSize', 'addrSize', 'limit'],
    semantics: (o) => loop(o, null),
  }),
  instruction({
    name: 'loope',
    encodings: ['e1 Jb'],
    ends: 'jump',
    variants: ['opSize', 'addrSize', 'limit'],
    semantics: (o) => loop(o, o.flag('Z')),
  }),
  instruction({
    name: 'loopne',
    encodings: ['e0 Jb'],
    ends: 'jump',
    variants: ['opSize', 'addrSize', 'limit'],
    semantics: (o) => loop(o, o.xor(o.flag('Z'), o.const(1))),
  }),
  instruction({
    name: 'jcxz',
    encodings: ['e3 Jb'],
    ends: 'jump',
    variants: ['opSize', 'addrSize', 'limit'],
    semantics: (o) => {
      const isTaken = o.eqz(counter(o).load());
      o.admitRelative(isTaken);
      o.branchRelative(isTaken);
    },
  }),
  instruction({
    name: 'jmpFar',
    encodings: ['ea Ap'],
    dst: 'r',
    ends: 'system',
    variants: ['opSize'],
    semantics: (o, offset, selector) =>
      void o.call('farJump', selector.load(), offset.load(), o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'callFar',
    encodings: ['9a Ap'],
    dst: 'r',
    ends: 'system',
    variants: ['opSize'],
    semantics: (o, offset, selector) =>
      void o.call('farCall', selector.load(), offset.load(), o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'jmpFarE',
    encodings: ['ff /5 Mv'],
    dst: 'r',
    ends: 'system',
    variants: ['opSize'],
    semantics: (o, pointer) => void o.call('farJumpMemory', pointer.address(), o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'callFarE',
    encodings: ['ff /3 Mv'],
    dst: 'r',
    ends: 'system',
    variants: ['opSize'],
    semantics: (o, pointer) => void o.call('farCallMemory', pointer.address(), o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'retf',
    encodings: ['cb'],
    ends: 'system',
    variants: ['opSize'],
    semantics: (o) => void o.call('farReturn', o.const(o.form.opSize / 8), o.const(0)),
  }),
  instruction({
    name: 'retfI',
    encodings: ['ca Iw'],
    dst: 'r',
    ends: 'system',
    variants: ['opSize'],
    semantics: (o, bytes) => void o.call('farReturn', o.const(o.form.opSize / 8), bytes.load()),
  }),
  instruction({
    name: 'iret',
    encodings: ['cf'],
    ends: 'system',
    variants: ['opSize'],
    semantics: (o) => void o.call('iret', o.const(o.form.opSize / 8)),
    transfers: true,
    natives: ['interruptReturn', 'interruptReturnLong'],
    quick: (o) => {
      o.giveUp(o.form.opSize === 16 ? o.const(1) : o.nativeState('interruptReturn'));
      o.jumpState();
    },
    quickLong: (o) => {
      o.giveUp(o.form.opSize === 64 ? o.nativeState('interruptReturnLong') : o.const(1));
      o.jumpState();
    },
  }),
  instruction({
    name: 'int3',
    encodings: ['cc'],
    ends: 'system',
    semantics: (o) => void o.call('int', o.const(3), o.const(1)),
  }),
  instruction({
    name: 'int',
    encodings: ['cd Ib'],
    dst: 'r',
    ends: 'system',
    semantics: (o, vector) => void o.call('int', vector.load(), o.const(0)),
    transfers: true,
    natives: ['softwareInterrupt'],
    quick: (o, vector) => {
      o.giveUp(o.nativeState('softwareInterrupt', o.zeroExtend(vector.load(), 8), o.nextEip()));
      o.jumpState();
    },
  }),
  instruction({ name: 'into', encodings: ['ce'], ends: 'system', semantics: (o) => void o.call('into') }),
  instruction({
    name: 'int1',
    encodings: ['f1'],
    ends: 'system',
    semantics: (o) => void o.call('int', o.const(1), o.const(3)),
  }),
  ...['sysenter:0f 34', 'sysexit:0f 35'].map((text) => {
    const [name, code] = text.split(':') as [string, string];
    return instruction({
      name,
      encodings: [code],
      ends: 'system',
      variants: ['opSize'],
      semantics: (o) => void o.call(name, o.const(o.form.opSize / 8)),
      transfers: true,
      natives: [name],
      quick: (o) => {
        o.giveUp(o.nativeState(name));
        o.jumpState();
      },
    });
  }),
  ...['syscall:0f 05', 'sysret:0f 07'].map((text) => {
    const [name, code] = text.split(':') as [string, string];
    return instruction({
      name,
      encodings: [code],
      ends: 'system',
      variants: ['opSize'],
      semantics: (o) => void o.call(name, o.const(o.form.opSize / 8)),
      transfers: true,
      natives: [`${name}Long`],
      quickLong: (o) => {
        if (name === 'syscall') o.giveUp(o.nativeState('syscallLong', o.nextEip()));
        else o.giveUp(o.form.opSize === 64 ? o.nativeState('sysretLong') : o.const(1));
        o.jumpState();
      },
    });
  }),
];
