/** Instructions that no CPU model has and kernels hold all the same, behind a look at CPUID: undefined to the decoder, known to the
 *  disassembler by name. Where a definition comes in, its line here has no effect. */
import type { OpcodeMaps } from '../decode/decoder.ts';
import type { Decodable } from '../decode/encoding.ts';
import { buildMapsOf } from '../decode/maps.ts';

const known = (text: string): Decodable[] =>
  text
    .trim()
    .split('\n')
    .map((line) => {
      const [name, encoding] = line.trim().split(': ') as [string, string];
      return { name, encodings: [encoding] };
    });

/** Name as printed (`?`: with the suffix of the first operand's width), and encoding. */
export const KNOWN_ONLY = known(`
  xsave: 0f ae /4 Mb
  xrstor: 0f ae /5 Mb
  xsaveopt: np 0f ae /6 Mb
  xrstors: 0f c7 /3 Mb
  xsavec: 0f c7 /4 Mb
  xsaves: 0f c7 /5 Mb
  xgetbv: 0f 01 d0
  xsetbv: 0f 01 d1
  vmcall: 0f 01 c1
  vmlaunch: 0f 01 c2
  vmresume: 0f 01 c3
  vmxoff: 0f 01 c4
  vmfunc: 0f 01 d4
  vmmcall: 0f 01 d9
  stgi: 0f 01 dc
  clgi: 0f 01 dd
  clac: 0f 01 ca
  stac: 0f 01 cb
  vmread?: np 0f 78 Em,Gm
  vmwrite?: np 0f 79 Gm,Em
  vmptrld: np 0f c7 /6 Mq
  vmptrst: np 0f c7 /7 Mq
  vmclear: 66 0f c7 /6 Mq
  vmxon: f3 0f c7 /6 Mq
  invept: 66 0f 38 80 Gm,Mx
  invvpid: 66 0f 38 81 Gm,Mx
  getsec: 0f 37
  xend: 0f 01 d5
  xtest: 0f 01 d6
`);
const byMode = new Map<16 | 32 | 64, OpcodeMaps>();

/** Opcode maps with everything that has a name; VEX prefixes are vex.ts's business. */
export function namedMaps(bits: 16 | 32 | 64): OpcodeMaps {
  let maps = byMode.get(bits);
  if (!maps) {
    maps = buildMapsOf(KNOWN_ONLY, bits, false);
    byMode.set(bits, maps);
  }
  return maps;
}
