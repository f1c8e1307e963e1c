/** Expressions of the human monitor: 64-bit numbers, `$register`, `'c'`, + - * / % & | ^ ~ and parentheses.
 *  Sums bind loosest, then & | ^, then * / %. */

import { UserError } from '../../util/errors.ts';

/** A command line that cannot be read. `message` stands alone; the interpreter adds where to find help. */
export class HmpSyntaxError extends UserError {}

export type RegisterReader = (name: string) => bigint | null;

const wrap = (value: bigint): bigint => BigInt.asIntN(64, value);
const MAX_DEPTH = 200;

/** Reads one expression from `text` at `from`. `next` is behind it and the blanks that follow. */
export function parseExpression(
  text: string,
  from: number,
  registers: RegisterReader,
): { readonly value: bigint; readonly next: number } {
  const parser = new ExpressionParser(text, from, registers);
  return { value: parser.sum(), next: parser.at };
}

class ExpressionParser {
  at: number;
  private readonly text: string;
  private readonly registers: RegisterReader;
  private depth = 0;

  constructor(text: string, from: number, registers: RegisterReader) {
    this.text = text;
    this.at = from;
    this.registers = registers;
    this.skipBlanks();
  }

  sum(): bigint {
    let value = this.logic();
    for (let op = this.peek('+-'); op; op = this.peek('+-')) {
      const right = this.operand(() => this.logic());
      value = wrap(op === '+' ? value + right : value - right);
    }
    return value;
  }

  private logic(): bigint {
    let value = this.product();
    for (let op = this.peek('&|^'); op; op = this.peek('&|^')) {
      const right = this.operand(() => this.product());
      value = op === '&' ? value & right : op === '|' ? value | right : value ^ right;
    }
    return value;
  }

  private product(): bigint {
    let value = this.unary();
    for (let op = this.peek('*/%'); op; op = this.peek('*/%')) {
      const right = this.operand(() => this.unary());
      if (op === '*') value = wrap(value * right);
      else if (right === 0n) throw new HmpSyntaxError('division by zero');
      else value = wrap(op === '/' ? value / right : value % right);
    }
    return value;
  }

  private operand(read: () => bigint): bigint {
    this.advance();
    return read();
  }

  private unary(): bigint {
    if (++this.depth > MAX_DEPTH) throw new HmpSyntaxError('expression nested too deeply');
    try {
      return this.term();
    } finally {
      this.depth--;
    }
  }

  private term(): bigint {
    const first = this.text[this.at];
    if (first === undefined) throw new HmpSyntaxError('unexpected end of expression');
    if (first === '+') return this.operand(() => this.unary());
    if (first === '-') return wrap(-this.operand(() => this.unary()));
    if (first === '~') return ~this.operand(() => this.unary());
    if (first === '(') return this.parenthesis();
    if (first === "'") return this.character();
    if (first === '$') return this.register();
    return this.number();
  }

  private parenthesis(): bigint {
    const value = this.operand(() => this.sum());
    if (this.text[this.at] !== ')') throw new HmpSyntaxError("')' expected");
    this.advance();
    return value;
  }

  private character(): bigint {
    const character = this.text[this.at + 1];
    if (character === undefined) throw new HmpSyntaxError('character constant expected');
    if (this.text[this.at + 2] !== "'") throw new HmpSyntaxError("missing terminating ' character");
    this.at += 3;
    this.skipBlanks();
    return BigInt(character.codePointAt(0)!);
  }

  private register(): bigint {
    const name = /^[A-Za-z0-9_.]*/.exec(this.text.slice(this.at + 1))![0];
    const value = this.registers(name);
    if (value === null) throw new HmpSyntaxError('unknown register');
    this.at += 1 + name.length;
    this.skipBlanks();
    return wrap(value);
  }

  private number(): bigint {
    const match = /^(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(this.text.slice(this.at, this.at + 100));
    if (!match) throw new HmpSyntaxError(`invalid char '${this.text[this.at]}' in expression`);
    const digits = match[0];
    const value = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
    if (value >= 1n << 64n) throw new HmpSyntaxError('number too large');
    this.at += digits.length;
    this.skipBlanks();
    return wrap(value);
  }

  private peek(operators: string): string | undefined {
    const next = this.text[this.at];
    return next !== undefined && operators.includes(next) ? next : undefined;
  }
  private advance(): void {
    this.at++;
    this.skipBlanks();
  }
  private skipBlanks(): void {
    while (isBlank(this.text[this.at])) this.at++;
  }
}

export function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t' || character === '\n' || character === '\r';
}
