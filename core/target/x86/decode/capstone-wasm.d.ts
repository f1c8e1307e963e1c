/** The part of capstone-wasm that the tests use; the package's own declarations are not reachable through its exports. */
declare module 'capstone-wasm' {
  interface Insn {
    readonly size: number;
    readonly mnemonic: string;
    readonly opStr: string;
  }
  export class Capstone {
    constructor(arch: number, mode: number);
    setOption(option: number, value: number): number;
    /** @throws Error for bytes that are no instruction. */
    disasm(data: Uint8Array, options?: { address?: number; count?: number }): Insn[];
  }
  export const Const: Readonly<
    Record<'CS_ARCH_X86' | 'CS_MODE_16' | 'CS_MODE_32' | 'CS_MODE_64' | 'CS_OPT_SYNTAX' | 'CS_OPT_SYNTAX_ATT', number>
  >;
  export function loadCapstone(): Promise<void>;
}
