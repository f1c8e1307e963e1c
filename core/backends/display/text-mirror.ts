/** The guest's text screen as characters and attributes, kept by a device in a text mode so that tests, tools and text consoles can read it. */

/** Code page 437, the character set of a PC's text screen, by code. */
const CP437 =
  ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼' +
  ' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~⌂' +
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
  'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ';

/** The character that code `code` of code page 437 shows. */
export function cp437(code: number): string {
  return CP437[code & 0xff]!;
}

export class TextMirror {
  columns = 0;
  rows = 0;
  /** Per cell: character code in bits 0-7, attribute (as the VGA stores it) in bits 8-15. */
  cells = new Uint16Array(0);
  cursorColumn = 0;
  cursorRow = 0;
  cursorVisible = false;

  resize(columns: number, rows: number): void {
    if (columns === this.columns && rows === this.rows) return;
    this.columns = columns;
    this.rows = rows;
    this.cells = new Uint16Array(columns * rows);
  }
  /** No text mode: the mirror is empty. */
  clear(): void {
    this.resize(0, 0);
    this.cursorVisible = false;
  }
  character(column: number, row: number): string {
    return cp437(this.cells[row * this.columns + column] ?? 0);
  }
  attribute(column: number, row: number): number {
    return (this.cells[row * this.columns + column] ?? 0) >> 8;
  }
  /** Rows as strings of full width. */
  lines(): string[] {
    return Array.from({ length: this.rows }, (_, row) =>
      Array.from({ length: this.columns }, (_, column) => this.character(column, row)).join(''),
    );
  }
  /** The whole screen, blanks at line ends removed. */
  text(): string {
    return this.lines()
      .map((line) => line.trimEnd())
      .join('\n');
  }
}
