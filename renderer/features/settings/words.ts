/** Extra arguments as one writes them in a shell, to and from words. Quotes group; nothing is expanded. */
import { quoteWord } from '../command-line/command-line-view.tsx';

export type Words = { words: string[] } | { problem: 'quote' | 'backslash' };

/** POSIX quoting: '…' takes all as it is, "…" knows \" and \\, a backslash outside takes the next character. */
export function splitWords(text: string): Words {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!;
    if (quote) {
      const next = text[index + 1];
      if (character === quote) quote = '';
      else if (character === '\\' && quote === '"' && (next === '"' || next === '\\')) {
        word += next;
        index++;
      } else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= '';
    } else if (character === '\\') {
      const next = text[++index];
      if (next === undefined) return { problem: 'backslash' };
      if (next !== '\n') word = (word ?? '') + next;
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + character;
  }
  if (quote) return { problem: 'quote' };
  if (word !== undefined) words.push(word);
  return { words };
}

/** An option per line, for a text area. */
export function joinWords(words: readonly string[]): string {
  let text = '';
  for (const word of words) text += `${text && word.startsWith('-') ? '\n' : text ? ' ' : ''}${quoteWord(word)}`;
  return text;
}
