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
  named,
  saveFields,
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
