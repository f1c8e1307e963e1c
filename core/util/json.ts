/** JSON as QEMU speaks it: an incremental reader that recovers from junk (and takes single quotes), and a writer.
 *  Reading works on bytes. Limits keep a hostile peer's nesting, token count and message size bounded. */

/** Integers beyond 2^53 are bigints; objects have no prototype. */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/** What came: a value, or the text of what was wrong. */
export type JsonMessage = { readonly value: JsonValue } | { readonly error: string };

const MAX_MESSAGE_BYTES = 64 << 20;
const MAX_TOKENS = 2 << 20;
const MAX_NESTING = 1024;

type TokenKind = '{' | '}' | '[' | ']' | ':' | ',' | 'string' | 'number' | 'keyword';
interface Token {
  readonly kind: TokenKind;
  readonly bytes: Uint8Array;
}

/** Lexer states. `recover`: after an error, skipping to the next character that can begin anew. */
type State =
  | 'start'
  | 'recover'
  | 'string'
  | 'escape'
  | 'minus'
  | 'zero'
  | 'digits'
  | 'point'
  | 'fraction'
  | 'e'
  | 'exponentSign'
  | 'exponent'
  | 'keyword';

const STRUCTURAL = '{}[]:,';
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 9 || byte === 10 || byte === 13;
const isStructural = (byte: number): boolean => STRUCTURAL.includes(String.fromCharCode(byte));
const isLower = (byte: number): boolean => byte >= 0x61 && byte <= 0x7a;
/** Bytes that can stand nowhere in UTF-8 text, and control characters: they reset the lexer. */
const isReset = (byte: number): boolean => byte < 0x20 || byte >= 0xfe;

/** Takes bytes as they come, reports each message as soon as it is complete. */
export class JsonStream {
  private readonly emit: (message: JsonMessage) => void;
  private state: State = 'start';
  private delimiter = 0;
  private token = new Uint8Array(64);
  private length = 0;
  private tokens: Token[] = [];
  private bytes = 0;
  private braces = 0;
  private brackets = 0;

  constructor(emit: (message: JsonMessage) => void) {
    this.emit = emit;
  }

  feed(bytes: Uint8Array): void {
    for (const byte of bytes) this.feedByte(byte);
  }

  /** The input has ended: what is unfinished is an error. */
  flush(): void {
    if (this.state !== 'start' && this.state !== 'recover') this.feedByte(0x20);
    this.state = 'start';
    if (this.tokens.length > 0) this.finish();
  }

  private feedByte(byte: number): void {
    // A byte that ends a token without being part of it is looked at again from the start.
    for (let again = true; again; ) again = !this.step(byte);
  }

  /** Advances by one byte; false if the byte was only looked at. */
  private step(byte: number): boolean {
    switch (this.state) {
      case 'start':
        return this.begin(byte);
      case 'recover':
        if (!isReset(byte) && !isStructural(byte)) return true;
        this.state = 'start';
        // The reset bytes 0xfe and 0xff are no token themselves; they would only be a second error.
        return byte >= 0xfe || (byte < 0x20 && !isSpace(byte));
      case 'string':
        if (isReset(byte)) return this.fail(byte);
        if (byte === BACKSLASH) this.state = 'escape';
        this.keep(byte);
        if (byte === this.delimiter && this.length > 0) this.endToken('string');
        return true;
      case 'escape':
        if (isReset(byte)) return this.fail(byte);
        this.state = 'string';
        this.keep(byte);
        return true;
      case 'keyword':
        if (!isLower(byte)) return this.lookahead('keyword');
        this.keep(byte);
        return true;
      default:
        return this.number(byte);
    }
  }

  private begin(byte: number): boolean {
    if (isSpace(byte)) return true;
    this.keep(byte);
    if (isStructural(byte)) this.endToken(String.fromCharCode(byte) as TokenKind);
    else if (byte === QUOTE || byte === APOSTROPHE) {
      this.delimiter = byte;
      this.state = 'string';
    } else if (byte === MINUS) this.state = 'minus';
    else if (byte === ZERO) this.state = 'zero';
    else if (isDigit(byte)) this.state = 'digits';
    else if (isLower(byte)) this.state = 'keyword';
    else this.stray();
    return true;
  }

  private number(byte: number): boolean {
    const digit = isDigit(byte);
    const isE = byte === 0x65 || byte === 0x45;
    let next: State | undefined;
    let canEnd = false;
    switch (this.state) {
      case 'minus':
        if (digit) next = byte === ZERO ? 'zero' : 'digits';
        break;
      case 'zero':
      case 'digits':
        canEnd = !(digit && this.state === 'zero');
        if (digit && canEnd) next = 'digits';
        else if (byte === POINT) next = 'point';
        else if (isE) next = 'e';
        break;
      case 'point':
        if (digit) next = 'fraction';
        break;
      case 'fraction':
        canEnd = true;
        if (digit) next = 'fraction';
        else if (isE) next = 'e';
        break;
      case 'e':
        if (digit) next = 'exponent';
        else if (byte === MINUS || byte === PLUS) next = 'exponentSign';
        break;
      case 'exponentSign':
        if (digit) next = 'exponent';
        break;
      default:
        canEnd = true;
        if (digit) next = 'exponent';
    }
    if (next !== undefined) {
      this.state = next;
      this.keep(byte);
      return true;
    }
    return canEnd ? this.lookahead('number') : this.fail(byte);
  }

  private keep(byte: number): void {
    if (this.length === this.token.length) {
      const larger = new Uint8Array(this.length * 2);
      larger.set(this.token);
      this.token = larger;
    }
    this.token[this.length++] = byte;
    if (this.length <= MAX_MESSAGE_BYTES) return;
    this.abandon('JSON token size limit exceeded');
    this.state = 'recover';
  }

  private takeToken(): Uint8Array {
    const bytes = this.token.slice(0, this.length);
    this.length = 0;
    if (this.token.length > 65536) this.token = new Uint8Array(64);
    return bytes;
  }

  private lookahead(kind: TokenKind): false {
    this.endToken(kind);
    return false;
  }

  private fail(byte: number): true {
    this.keep(byte);
    this.stray();
    return true;
  }

  private stray(): void {
    // A message's text ends at a NUL, as C strings do.
    const [text = ''] = decodeUtf8(this.takeToken()).split('\0');
    this.abandon(`JSON parse error, stray '${text}'`);
    this.state = 'recover';
  }

  private abandon(error: string): void {
    this.reset();
    this.emit({ error });
  }

  private reset(): void {
    this.length = 0;
    this.tokens = [];
    this.bytes = 0;
    this.braces = 0;
    this.brackets = 0;
  }

  private endToken(kind: TokenKind): void {
    const bytes = this.takeToken();
    this.state = 'start';
    if (kind === '{') this.braces++;
    else if (kind === '}') this.braces--;
    else if (kind === '[') this.brackets++;
    else if (kind === ']') this.brackets--;
    this.tokens.push({ kind, bytes });
    this.bytes += bytes.length;
    const open = this.braces > 0 || this.brackets > 0;
    if (this.braces < 0 || this.brackets < 0 || !open) this.finish();
    else if (this.bytes > MAX_MESSAGE_BYTES) this.abandon('JSON token size limit exceeded');
    else if (this.tokens.length > MAX_TOKENS) this.abandon('JSON token count limit exceeded');
    else if (this.braces + this.brackets > MAX_NESTING) this.abandon('JSON nesting depth limit exceeded');
  }

  private finish(): void {
    const tokens = this.tokens;
    this.reset();
    this.emit(parseTokens(tokens));
  }
}

/** Parses one complete text. */
export function parseJson(text: string): JsonMessage {
  const messages: JsonMessage[] = [];
  const stream = new JsonStream((message) => messages.push(message));
  stream.feed(encodeUtf8(text));
  stream.flush();
  if (messages.length === 0) return { error: 'Expecting a JSON value' };
  const first = messages[0]!;
  return 'error' in first || messages.length === 1 ? first : { error: 'Expecting at most one JSON value' };
}

class JsonSyntaxError extends Error {}

function parseTokens(tokens: readonly Token[]): JsonMessage {
  try {
    const parser = new Parser(tokens);
    return { value: parser.value() };
  } catch (error) {
    if (error instanceof JsonSyntaxError) return { error: `JSON parse error, ${error.message}` };
    throw error;
  }
}

class Parser {
  private readonly tokens: readonly Token[];
  private at = 0;
  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  value(): JsonValue {
    const token = this.take();
    if (token.kind === '{') return this.object();
    if (token.kind === '[') return this.array();
    if (token.kind === 'string') return unquote(token.bytes);
    if (token.kind === 'number') return toNumber(decodeUtf8(token.bytes));
    if (token.kind !== 'keyword') throw new JsonSyntaxError('expecting value');
    const word = decodeUtf8(token.bytes);
    if (word === 'true') return true;
    if (word === 'false') return false;
    if (word === 'null') return null;
    throw new JsonSyntaxError(`invalid keyword '${word}'`);
  }

  private take(): Token {
    const token = this.tokens[this.at++];
    if (!token) throw new JsonSyntaxError('premature EOI');
    return token;
  }

  private object(): JsonObject {
    const object = Object.create(null) as JsonObject;
    if (this.tokens[this.at]?.kind === '}') {
      this.at++;
      return object;
    }
    for (;;) {
      const key = this.value();
      if (typeof key !== 'string') throw new JsonSyntaxError('key is not a string in object');
      if (this.take().kind !== ':') throw new JsonSyntaxError('missing : in object pair');
      const value = this.value();
      if (key in object) throw new JsonSyntaxError('duplicate key');
      object[key] = value;
      const next = this.take().kind;
      if (next === '}') return object;
      if (next !== ',') throw new JsonSyntaxError('expected separator in dict');
    }
  }

  private array(): JsonValue[] {
    const array: JsonValue[] = [];
    if (this.tokens[this.at]?.kind === ']') {
      this.at++;
      return array;
    }
    for (;;) {
      array.push(this.value());
      const next = this.take().kind;
      if (next === ']') return array;
      if (next !== ',') throw new JsonSyntaxError('expected separator in list');
    }
  }
}

function toNumber(text: string): number | bigint {
  if (!/^-?[0-9]+$/.test(text)) return Number(text);
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  const exact = BigInt(text);
  // Beyond 64 bits an integer is read as a floating point number.
  return exact < 1n << 64n && exact >= -(1n << 63n) ? exact : number;
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  "'": "'",
  '\\': '\\',
  '/': '/',
};

function unquote(quoted: Uint8Array): string {
  const decoded = strictUtf8(quoted.subarray(1, quoted.length - 1));
  if (decoded === undefined) throw new JsonSyntaxError('invalid UTF-8 sequence in string');
  return decoded.replace(
    /\\(u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|.)/gs,
    (_, sequence: string, at: number) => {
      if (sequence.length >= 5) return decodeUnicodeEscape(sequence);
      if (sequence === 'u') throw notUnicode(`${decoded}"`.slice(at, at + 6));
      const plain = ESCAPES[sequence];
      if (plain === undefined) throw new JsonSyntaxError('invalid escape sequence in string');
      return plain;
    },
  );
}

function decodeUnicodeEscape(sequence: string): string {
  const first = Number.parseInt(sequence.slice(1, 5), 16);
  const isHigh = first >= 0xd800 && first < 0xdc00;
  if (sequence.length > 5) {
    const second = Number.parseInt(sequence.slice(7), 16);
    if (isHigh) return String.fromCharCode(first, second);
  }
  if ((first >= 0xd800 && first < 0xe000) || sequence.length > 5) throw notUnicode(`\\${sequence}`);
  return String.fromCharCode(first);
}

function notUnicode(sequence: string): JsonSyntaxError {
  return new JsonSyntaxError(`${sequence} is not a valid Unicode character`);
}

/** UTF-8 to text; malformed parts become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decode(bytes, false) ?? '';
}

function strictUtf8(bytes: Uint8Array): string | undefined {
  return decode(bytes, true);
}

function decode(bytes: Uint8Array, strict: boolean): string | undefined {
  const parts: string[] = [];
  let codes: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { code, length } = decodeOne(bytes, at);
    if (code < 0 && strict) return undefined;
    codes.push(code < 0 ? 0xfffd : code);
    at += length;
    if (codes.length >= 4096) {
      parts.push(String.fromCodePoint(...codes));
      codes = [];
    }
  }
  return parts.join('') + String.fromCodePoint(...codes);
}

/** One character; code -1 for a malformed one, with the number of bytes to skip. */
function decodeOne(bytes: Uint8Array, at: number): { code: number; length: number } {
  const lead = bytes[at]!;
  if (lead < 0x80) return { code: lead, length: 1 };
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return { code: -1, length: 1 };
  let code = lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i];
    if (next === undefined || (next & 0xc0) !== 0x80) return { code: -1, length: i };
    code = (code << 6) | (next & 0x3f);
  }
  const tooLong = code < [0, 0, 0x80, 0x800, 0x10000][length]!;
  const invalid = tooLong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
  return { code: invalid ? -1 : code, length };
}

/** Text to UTF-8; lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0)!;
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}

/** ASCII JSON with QEMU's spacing; `pretty` indents by four. Undefined members are left out. */
export function formatJson(value: JsonValue | undefined, pretty = false): string {
  return write(value ?? null, pretty, 0);
}

function write(value: JsonValue, pretty: boolean, depth: number): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  if (typeof value === 'string') return quote(value);
  const inner = pretty ? `\n${'    '.repeat(depth + 1)}` : '';
  const outer = pretty ? `\n${'    '.repeat(depth)}` : '';
  const separator = pretty ? `,${inner}` : ', ';
  if (Array.isArray(value)) {
    const items = value.map((item) => write(item, pretty, depth + 1));
    return items.length === 0 ? `[${outer}]` : `[${inner}${items.join(separator)}${outer}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${quote(key)}: ${write(member, pretty, depth + 1)}`);
  return members.length === 0 ? `{${outer}}` : `{${inner}${members.join(separator)}${outer}}`;
}

function quote(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped.
  const escaped = text.replace(/["\\\u0000-\u001f\u007f-\uffff]/g, (character) => {
    const short = { '"': '\\"', '\\': '\\\\', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t' }[
      character
    ];
    return short ?? `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
