import { describe, expect, it } from 'vitest';
import { joinWords, splitWords } from './words.ts';

describe('extra arguments as text', () => {
  it.each([
    ['-d guest_errors', ['-d', 'guest_errors']],
    ["-name 'a b'", ['-name', 'a b']],
    ['-append "root=/dev/sda \\"x\\" \\n"', ['-append', 'root=/dev/sda "x" \\n']],
    ['a\\ b  c\n\td', ['a b', 'c', 'd']],
    ["''", ['']],
    ['a\'b\'"c"', ['abc']],
    ['', []],
    ['-x \\\n-y', ['-x', '-y']],
  ])('%j is read as a shell would', (text, words) => {
    expect(splitWords(text)).toEqual({ words });
  });

  it.each(["-d 'x", '-d "x', 'a \'b"c'])('%j has an open quotation', (text) => {
    expect(splitWords(text)).toEqual({ problem: 'quote' });
  });

  it('refuses a backslash that quotes nothing', () => {
    expect(splitWords('a\\')).toEqual({ problem: 'backslash' });
  });

  it('reads back whatever it writes', () => {
    const words = ['-append', "it's", '', 'a b', '"', '\\', '-d', 'é,ü', '$HOME', 'a\nb'];
    expect(splitWords(joinWords(words))).toEqual({ words });
  });
});
