/** What CPUs of the models here have and this one lacks: such an instruction raises #UD, and the log names it once. The README
 *  shows the list (a test compares). Long mode's own instructions are not in it. */

/** A family of instructions by opcode map (0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A), opcode, and what of ModRM decides. */
export interface UnimplementedFamily {
  readonly name: string;
  readonly matches: (map: number, opcode: number, modrm: number) => boolean;
}

const isMemory = (modrm: number) => modrm < 0xc0;
const digit = (modrm: number) => (modrm >> 3) & 7;

export const UNIMPLEMENTED: readonly UnimplementedFamily[] = [
  { name: 'XOP', matches: (map, opcode) => map === 0 && opcode === 0x8f },
  {
    name: 'XSAVEC, XSAVES',
    matches: (map, opcode, modrm) =>
      map === 1 && opcode === 0xc7 && isMemory(modrm) && digit(modrm) >= 3 && digit(modrm) <= 5,
  },
  { name: 'SVM', matches: (map, opcode, modrm) => map === 1 && opcode === 0x01 && modrm >= 0xd8 && modrm <= 0xdf },
  {
    name: 'VMX',
    matches: (map, opcode, modrm) =>
      (map === 1 &&
        ((opcode === 0x01 && modrm >= 0xc1 && modrm <= 0xc4) ||
          (opcode === 0xc7 && isMemory(modrm) && digit(modrm) >= 6))) ||
      (map === 2 && (opcode === 0x80 || opcode === 0x81)),
  },
  { name: 'SSE4a', matches: (map, opcode) => map === 1 && (opcode === 0x78 || opcode === 0x79) },
];

/** The family that an opcode belongs to which did not decode. */
export function unimplementedFamily(map: number, opcode: number, modrm: number): UnimplementedFamily | undefined {
  return UNIMPLEMENTED.find(({ matches }) => matches(map, opcode, modrm));
}
