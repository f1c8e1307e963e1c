/** Characters as keys of a US keyboard, in QEMU's key names (QKeyCode). */
const PLAIN: Record<string, string> = {
  ' ': 'spc',
  '\n': 'ret',
  '\r': 'ret',
  '\t': 'tab',
  '\b': 'backspace',
  '\u001b': 'esc',
  '-': 'minus',
  '=': 'equal',
  '[': 'bracket_left',
  ']': 'bracket_right',
  ';': 'semicolon',
  "'": 'apostrophe',
  '`': 'grave_accent',
  '\\': 'backslash',
  ',': 'comma',
  '.': 'dot',
  '/': 'slash',
};
const SHIFTED = '~!@#$%^&*()_+{}|:"<>?';
const SHIFTED_FROM = "`1234567890-=[]\\;',./";

/** The keys to press together for a character; undefined when a US keyboard has none. */
export function keysForCharacter(character: string): string[] | undefined {
  if (/^[a-z0-9]$/.test(character)) return [character];
  if (/^[A-Z]$/.test(character)) return ['shift', character.toLowerCase()];
  const plain = PLAIN[character];
  if (plain) return [plain];
  const index = SHIFTED.indexOf(character);
  const base = index < 0 ? undefined : keysForCharacter(SHIFTED_FROM[index]!);
  return base && ['shift', ...base];
}
