import { describe, expect, it } from 'vitest';
import { decodeUtf8, encodeUtf8, formatJson, type JsonMessage, JsonStream, parseJson } from './json.ts';

function read(...pieces: (string | number[])[]): JsonMessage[] {
  const messages: JsonMessage[] = [];
  const stream = new JsonStream((message) => messages.push(message));
  for (const piece of pieces) stream.feed(typeof piece === 'string' ? encodeUtf8(piece) : Uint8Array.from(piece));
  return messages;
}

describe('JsonStream', () => {
  it('reports a message as soon as it is complete, however it is cut', () => {
    const text = '{"a": [1, -2.5e3, true, null, "x\\u00e9\\n"], \'b\': {}}';
    const whole = read(text);
    expect(whole).toEqual([{ value: { a: [1, -2500, true, null, 'xé\n'], b: {} } }]);
    expect(read(...text)).toEqual(whole);
  });
  it('goes on after mistakes', () => {
    expect(read('{"a" 1}{"b": 2}')).toEqual([
      { error: 'JSON parse error, missing : in object pair' },
      { value: { b: 2 } },
    ]);
    expect(read([0xff, 0x20], ' junk\n[]\n')).toEqual([{ error: "JSON parse error, stray '\ufffd'" }, { value: [] }]);
    expect(read('nonsense\n5 ')).toEqual([{ error: "JSON parse error, invalid keyword 'nonsense'" }, { value: 5 }]);
    expect(read('{"a": "unfinished\n}{}')[0]).toHaveProperty('error');
    expect(read(']{}')).toEqual([{ error: 'JSON parse error, expecting value' }, { value: {} }]);
  });
  it('names what is wrong', () => {
    const problem = (text: string): string => {
      const message = parseJson(text);
      return 'error' in message ? message.error.replace('JSON parse error, ', '') : 'none';
    };
    expect(problem('{1: 2}')).toBe('key is not a string in object');
    expect(problem('{"a": 1 "b"}')).toBe('expected separator in dict');
    expect(problem('[1 2]')).toBe('expected separator in list');
    expect(problem('{"a": 1, "a": 2}')).toBe('duplicate key');
    expect(problem('{"a":')).toBe('premature EOI');
    expect(problem('"\\q"')).toBe('invalid escape sequence in string');
    expect(problem('"\\ud800"')).toContain('is not a valid Unicode character');
    expect(problem('01')).toContain('stray');
  });
  it('bounds nesting and survives it', () => {
    const messages = read(`${'['.repeat(5000)}${']'.repeat(5000)} {"ok": 1}`);
    expect(messages[0]).toEqual({ error: 'JSON nesting depth limit exceeded' });
    expect(messages.at(-1)).toEqual({ value: { ok: 1 } });
  });
  it('keeps 64-bit integers exact', () => {
    expect(read('[18446744073709551615, -9223372036854775808, 9007199254740991]')).toEqual([
      { value: [18446744073709551615n, -9223372036854775808n, 9007199254740991] },
    ]);
  });
  it('lets no key reach a prototype', () => {
    const message = parseJson('{"__proto__": {"polluted": 1}}');
    expect('value' in message && formatJson(message.value)).toBe('{"__proto__": {"polluted": 1}}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('formatJson', () => {
  it('writes ASCII with QEMU’s spacing', () => {
    expect(formatJson({ a: [1, 'é"\u0001'], b: {} })).toBe('{"a": [1, "\\u00E9\\"\\u0001"], "b": {}}');
    expect(formatJson({ a: [1] }, true)).toBe('{\n    "a": [\n        1\n    ]\n}');
  });
  it('is read back as what was written', () => {
    const value = { text: 'snow ☃ and \u{1f40d}', list: [0, -1, 1.5, true, null], big: 1n << 60n };
    expect(parseJson(formatJson(value))).toEqual({ value });
  });
});

it('UTF-8 survives the round trip and malformed bytes become replacement characters', () => {
  expect(decodeUtf8(encodeUtf8('a é ☃ \u{1f40d}'))).toBe('a é ☃ \u{1f40d}');
  expect(decodeUtf8(Uint8Array.of(0x61, 0xc3, 0x28, 0xed, 0xa0, 0x80))).toContain('\ufffd');
});
