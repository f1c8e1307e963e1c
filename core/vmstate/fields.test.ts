import { describe, expect, it } from 'vitest';
import {
  array,
  big64,
  bool,
  buffer,
  type FieldKind,
  i32,
  i64,
  loadFields,
  loadState,
  named,
  saveFields,
  saveState,
  since,
  struct,
  timer,
  u8,
  u16,
  u32,
  u64,
  unused,
  vmstate,
} from './fields.ts';
import { StateReader, StateWriter } from './stream.ts';

const bytesOf = <T>(field: FieldKind<T>, value: T) => {
  const writer = new StateWriter();
  field.save(writer, value);
  return writer.finish();
};
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('field kinds', () => {
  const inner = vmstate('inner', 1, { a: u8(1), b: u16(2) });
  const cases: readonly [string, FieldKind<unknown>, unknown, string][] = [
    ['uint8', u8(), 0xfe, 'fe'],
    ['uint16', u16(), 0x1234, '1234'],
    ['uint32', u32(), 0xdead_beef, 'deadbeef'],
    ['int32', i32(), -2, 'fffffffe'],
    ['uint64', u64(), 2 ** 52 + 1, '0010000000000001'],
    ['int64', i64(), -3, 'fffffffffffffffd'],
    ['uint64', big64(), 0xffff_ffff_0000_0001n, 'ffffffff00000001'],
    ['bool', bool(), true, '01'],
    ['timer', timer(), 1_000_000_007, '000000003b9aca07'],
    ['timer', timer(), -1, 'ffffffffffffffff'],
    ['buffer', buffer(3), Uint8Array.of(1, 2, 3), '010203'],
    ['unused_buffer', unused(2), null, '0000'],
    ['uint16', array(2, u16()), [1, 0xff00], '0001ff00'],
    ['struct', struct(inner), { a: 7, b: 8 }, '070008'],
  ] as never;
  it.each(cases)('%s is big-endian and comes back as it went', (kind, field, value, hex) => {
    expect(field.kind).toBe(kind);
    const bytes = bytesOf(field, value);
    expect(hexOf(bytes)).toBe(hex);
    const reader = new StateReader(bytes);
    expect(field.load(reader, field.initial())).toEqual(value);
    expect(reader.remaining).toBe(0);
  });
  it.each(cases)('%s says that the stream ends in the middle', (_, field, value) => {
    const bytes = bytesOf(field, value);
    const short = new StateReader(bytes.subarray(0, bytes.length - 1));
    expect(() => field.load(short, field.initial())).toThrow('the saved state ends in the middle of a field');
  });

  it('refuses to save buffers and arrays of another length than declared', () => {
    expect(() => bytesOf(buffer(3), new Uint8Array(2))).toThrow('3 bytes');
    expect(() => bytesOf(array(2, u8()), [1, 2, 3])).toThrow('2 elements');
  });

  it('take a foreign boolean that is not 1 as true', () => {
    expect(bool().load(new StateReader(Uint8Array.of(2)), false)).toBe(true);
  });

  it('load a struct into the object that the device holds', () => {
    const current = inner.create();
    expect(struct(inner).load(new StateReader(Uint8Array.of(9, 0, 10)), current)).toBe(current);
    expect(current).toEqual({ a: 9, b: 10 });
  });
});

describe('descriptions', () => {
  const description = vmstate(
    'thing',
    3,
    {
      first: u8(5),
      list: array(2, struct(vmstate('item', 1, { x: u8(1) }))),
      bytes: buffer(2),
      second: since(2, u16(0x1234)),
      third: named('other_name', since(3, u8(9))),
    },
    { minimumVersion: 1 },
  );

  it('create and reset give fresh defaults, shared with nobody', () => {
    const [one, two] = [description.create(), description.create()];
    one.list[0]!.x = 50;
    one.bytes[0] = 1;
    one.first = 77;
    expect(two).toEqual(description.create());
    description.reset(one);
    expect(one).toEqual(two);
    expect(one.list[0]).not.toBe(two.list[0]);
  });

  it('load what the version of the stream holds and keep the rest', () => {
    const writer = new StateWriter();
    saveFields(writer, description, { ...description.create(), first: 1, second: 2, third: 3 });
    const bytes = writer.finish();
    expect(hexOf(bytes)).toBe('01010100000002' + '03');
    for (const [version, length] of [
      [1, 5],
      [2, 7],
      [3, 8],
    ] as const) {
      const state = description.create();
      const reader = new StateReader(bytes.subarray(0, length));
      loadFields(reader, description, state, version);
      expect(reader.remaining).toBe(0);
      expect([state.first, state.second, state.third]).toEqual([1, version >= 2 ? 2 : 0x1234, version >= 3 ? 3 : 9]);
    }
    expect([description.minimumVersion, vmstate('x', 4, {}).minimumVersion]).toEqual([1, 4]);
    expect(description.fields.third.fieldName).toBe('other_name');
  });
});

describe('optional parts', () => {
  interface Owner {
    state: Record<string, unknown>;
    part: { y: number; late: number };
    more: { z: number };
    own: { w: number };
  }
  const deepest = vmstate('in/part/more', 1, { z: u8(3) });
  const part = vmstate(
    'in/part',
    4,
    { y: u8(2), late: since(4, u8(7)) },
    {
      minimumVersion: 3,
      subsections: [
        {
          description: deepest,
          needed: (owner) => (owner as Owner).more.z !== 3,
          state: (owner) => (owner as { more: Record<string, unknown> }).more,
        },
      ],
    },
  );
  const inner = vmstate(
    'in',
    1,
    { x: u8(1) },
    {
      subsections: [
        {
          description: part,
          needed: (owner) => (owner as Owner).part.y !== 2,
          state: (owner) => (owner as { part: Record<string, unknown> }).part,
        },
      ],
    },
  );
  const own = vmstate('out/own', 1, { w: u16(5) });
  const outer = vmstate(
    'out',
    2,
    { first: u8(), nested: struct(inner), last: u8(0xee) },
    {
      subsections: [
        { description: own, needed: () => true, state: (owner) => (owner as { own: Record<string, unknown> }).own },
      ],
    },
  );
  const device = (): Owner => ({
    state: outer.create(),
    part: part.create(),
    more: deepest.create(),
    own: own.create(),
  });
  const name = (text: string) => Buffer.from(text).toString('hex');
  const save = (owner: Owner) => {
    const writer = new StateWriter();
    saveState(writer, outer, owner.state, owner);
    return writer.finish();
  };
  const load = (owner: Owner, hex: string) => {
    const reader = new StateReader(Buffer.from(hex, 'hex'));
    loadState(reader, outer, owner.state, 2, owner);
    return reader.remaining;
  };
  const OWN = `0507${name('out/own')}000000010005`;

  it('follow the fields of the structure that they belong to, while they are needed', () => {
    const owner = device();
    expect(hexOf(save(owner))).toBe(`0001ee${OWN}`);
    owner.part.y = 9;
    expect(hexOf(save(owner))).toBe(`00010507${name('in/part')}000000040907ee${OWN}`);
    owner.more.z = 8;
    const whole = `00010507${name('in/part')}000000040907050c${name('in/part/more')}0000000108ee${OWN}`;
    expect(hexOf(save(owner))).toBe(whole);
    const other = device();
    expect(load(other, whole)).toBe(0);
    expect(other).toEqual(owner);
  });
  it('that the stream has not are at their defaults afterwards', () => {
    const owner = device();
    Object.assign(owner.part, { y: 50, late: 60 });
    owner.own.w = 70;
    expect(load(owner, `0501aa${OWN}`)).toBe(0);
    expect(owner).toEqual({ ...device(), state: { first: 5, nested: { x: 1 }, last: 0xaa } });
  });
  it('of older versions have the fields of those', () => {
    const owner = device();
    expect(load(owner, `00010507${name('in/part')}0000000309ee${OWN}`)).toBe(0);
    expect(owner.part).toEqual({ y: 9, late: 7 });
  });
  it('that nobody knows, or of other versions, are refused; those of another structure are left alone', () => {
    const owner = device();
    expect(() => load(owner, `00010505${name('in/xx')}00000001`)).toThrow('Unknown subsection in/xx of in');
    expect(() => load(owner, `00010507${name('in/part')}0000000509`)).toThrow('in/part has version 5, 3 to 4');
    expect(() => load(owner, `00010507${name('in/part')}0000000209`)).toThrow('in/part has version 2, 3 to 4');
    const stranger = `0504${name('abcd')}00000001`;
    expect(load(owner, `0001ee${OWN}${stranger}`)).toBe(stranger.length / 2);
    // Too short to be one: bytes of what follows.
    expect(load(owner, `0001ee${OWN}05ff61`)).toBe(3);
  });
  it('of elements of an array belong to the same device', () => {
    const list = vmstate('list', 1, { all: array(2, struct(inner)) });
    const owner = { ...device(), state: list.create() };
    owner.part.y = 4;
    const writer = new StateWriter();
    saveState(writer, list, owner.state, owner);
    const one = `010507${name('in/part')}000000040407`;
    expect(hexOf(writer.finish())).toBe(one + one);
  });
});

describe('streams', () => {
  it('grow as they are written', () => {
    const writer = new StateWriter();
    const large = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);
    writer.u8(1);
    writer.bytes(large);
    writer.u32(0x0102_0304);
    const bytes = writer.finish();
    const reader = new StateReader(bytes);
    expect([reader.u8(), hexOf(reader.bytes(1000)) === hexOf(large), reader.u32(), reader.remaining]).toEqual([
      1,
      true,
      0x0102_0304,
      0,
    ]);
  });
  it('read from the middle of another buffer, and do not share it', () => {
    const source = Uint8Array.of(9, 9, 1, 2, 3, 9);
    const reader = new StateReader(source.subarray(2, 5));
    const taken = reader.bytes(2);
    source[2] = 50;
    expect([...taken, reader.u8()]).toEqual([1, 2, 3]);
    expect(() => reader.u8()).toThrow('ends in the middle');
  });
});
