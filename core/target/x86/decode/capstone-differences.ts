/** Where capstone 5 and our decoder and disassembler (which follows capstone 4, as QEMU 7.2 has it) differ on purpose: data for
 *  the comparison in tests, each with its reason. */
export type Bits = 16 | 32 | 64;
export interface Line {
  readonly length: number;
  readonly mnemonic: string;
  readonly operands: string;
}
export interface Difference {
  readonly bytes: Uint8Array;
  readonly bits: Bits;
  readonly ours: Line | null;
  readonly theirs: Line | null;
}

/** Mnemonics that capstone knows, no CPU model here has, and the disassembler does not know either: family by pattern. What it knows
 *  and the decoder does not is in disassemble/known-only.ts and vex.ts. */
const ABSENT: readonly (readonly [family: string, pattern: RegExp])[] = [
  ['SVM', /^(skinit|vmsave|vmload|vmrun|invlpga|clzero|mcommit|rdpru)$/],
  ['SGX', /^encl[suv]$|^pconfig$/],
  ['3DNow!', /^(pf[a-z0-9]+|pi2f[wd]|pmulhrw|pavgusb|pswapd)$/],
  ['MPX', /^bnd(cl|cn|cu|ldx|mk|mov|stx)$/],
  ['CET', /^(wrss[dq]|wruss[dq]|rdssp[dq]|incssp[dq]|setssbsy|clrssbsy|saveprevssp|rstorssp|endbr(32|64))$/],
  ['TSX', /^(xbegin|xabort)$/],
  ['VIA PadLock', /^(xcrypt|montmul|xsha|xstore)/],
  [
    'FMA4, XOP, gathers, AVX-512',
    /^(vfn?m(add|sub|addsub|subadd)[ps][sd]|vpermil2p[sd]|v(pcmov|pperm|prot|psh|phadd|phsub|pmacs|pmadcs|pcom|frcz).*|k[a-z]+|vp?gather.*)$/,
  ],
  ['TBM', /^(bextr|blc[a-z]+|blsfill|blsic|tzmsk|t1mskc)[lq]?$/],
  ['XOP, LWP', /^(llwpcb|slwpcb|lwpins|lwpval)$/],
  ['SSE4a', /^(extrq|insertq|movnts[sd])$/],
  ['MOVDIRI, MOVDIR64B, WAITPKG, ENQCMD', /^(movdiri|movdir64b|umonitor|umwait|tpause|enqcmds?)$/],
  ['GFNI, VAES, VPCLMULQDQ', /^v?gf2p8|^v(pclmulqdq|aes)/],
  ['protection keys', /^(rdpkru|wrpkru)$/],
  ['others', /^(ptwrite[lq]?|rdpid[lq]?|monitorx|mwaitx|encls|loadall)$/],
];

const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const PREFIX_WORDS = /^((lock|rep|repe|repne|bnd|xacquire|xrelease|notrack) )+/;
const BRANCH = /^(jmp|call[wlq]|j[a-z]+|loopn?e?)$/;
const SHIFT = /^(rol|ror|rcl|rcr|shl|sal|shr|sar)[bwlq]?$/;

/** A difference taken apart. */
interface Case {
  readonly bits: Bits;
  readonly ours: string;
  readonly theirs: string;
  readonly ourOperands: string;
  readonly theirOperands: string;
  readonly isSameLength: boolean;
  readonly prefixes: readonly number[];
  /** Opcode bytes and what follows, REX left out. */
  readonly code: readonly number[];
}
function takeApart({ bytes, bits, ours, theirs }: Difference): Case {
  const all = [...bytes];
  const start = all.findIndex((b) => !PREFIXES.has(b) && !(bits === 64 && (b & 0xf0) === 0x40));
  return {
    bits,
    ours: (ours?.mnemonic ?? '').replace(PREFIX_WORDS, ''),
    theirs: (theirs?.mnemonic ?? '').replace(PREFIX_WORDS, ''),
    ourOperands: ours?.operands ?? '',
    theirOperands: theirs?.operands ?? '',
    isSameLength: ours?.length === theirs?.length,
    prefixes: all.slice(0, start),
    code: all.slice(start),
  };
}
const isBoth = (c: Case) => c.ours !== '' && c.theirs !== '' && c.isSameLength;
const isSame = (c: Case) => isBoth(c) && c.ours === c.theirs;
/** Operands in the other order. */
const isSwapped = (c: Case) => isSame(c) && c.ourOperands.split(', ').reverse().join(', ') === c.theirOperands;
const has = (c: Case, ...prefixes: number[]) => prefixes.some((p) => c.prefixes.includes(p));

type Rule = readonly [reason: string, applies: (c: Case) => boolean];
const RULES: readonly Rule[] = [
  // What one of the two does not know.
  [
    'no CPU model here has the instruction',
    (c) => c.ours === '' && ABSENT.some(([, pattern]) => pattern.test(c.theirs)),
  ],
  [
    'the prefixes 66, F2 and F3 make an instruction undefined that the manual marks NP; capstone takes no notice',
    (c) => c.ours === '' && c.code[0] === 0x0f && has(c, 0x66, 0xf2, 0xf3),
  ],
  ['LOCK is for a few instructions with memory operands', (c) => c.ours === '' && has(c, 0xf0)],
  ['SWAPGS is of 64-bit code', (c) => c.bits !== 64 && c.ours === '' && c.theirs === 'swapgs'],
  [
    'fences take any r/m (Intel SDM); capstone knows one of eight',
    (c) => c.theirs === '' && /^[lms]fence$/.test(c.ours),
  ],
  [
    'capstone wants W to be clear in some instructions with VEX',
    (c) => c.theirs === '' && c.code[0] === 0xc4 && c.code[2]! >= 0x80,
  ],
  ['no more is known of VEX than W and the length allow', (c) => c.theirs === '' && c.code[0] === 0xc4],
  ['EVEX is not known', (c) => c.ours === '' && c.code[0] === 0x62],
  ['without RDPID it is RDSEED', (c) => isBoth(c) && c.ours.startsWith('rdseed') && c.theirs.startsWith('rdpid')],
  [
    '66, F2, F3 and LOCK before VEX are undefined',
    (c) => c.ours === '' && (c.code[0] === 0xc4 || c.code[0] === 0xc5) && has(c, 0x66, 0xf2, 0xf3, 0xf0),
  ],
  ['MOV to CS is undefined', (c) => c.ours === '' && c.code[0] === 0x8e && ((c.code[1]! >> 3) & 7) === 1],
  [
    'hint NOPs and prefetches that capstone does not know',
    (c) => c.theirs === '' && /^(nop[wlq]|prefetch)/.test(c.ours),
  ],
  [
    'capstone 5 has no second copies of x87 instructions',
    (c) => c.theirs === '' && /^f(xch|stp|com|comp)$/.test(c.ours),
  ],
  ['capstone 5 knows MOVSXD with REX.W only', (c) => c.bits === 64 && c.theirs === '' && c.ours === 'movslq'],
  [
    'a prefix that means nothing to the instruction is too much for capstone',
    (c) => c.theirs === '' && has(c, 0x66, 0xf2, 0xf3),
  ],
  // Meaning.
  [
    'in 16-bit code capstone overlooks 66, F2 and F3 of the two-byte map',
    (c) => c.bits === 16 && c.code[0] === 0x0f && has(c, 0x66, 0xf2, 0xf3),
  ],
  [
    'UD0 and UD1 have a ModRM byte (Intel SDM); capstone leaves it out',
    (c) => /^ud/.test(c.ours) && /^ud/.test(c.theirs),
  ],
  [
    'hint NOPs that became MPX, CLDEMOTE, another prefetch or a NOP with two operands',
    (c) => isBoth(c) && /^(nop[wlq]|prefetch)$/.test(c.ours),
  ],
  ['without WBNOINVD it is WBINVD', (c) => isBoth(c) && c.ours === 'wbinvd' && c.theirs === 'wbnoinvd'],
  [
    'near branches of 64-bit code take no notice of 66, as in Intel CPUs; capstone follows AMD',
    (c) =>
      c.bits === 64 &&
      has(c, 0x66) &&
      /^(call|ret|jmp|j[a-z]+|loop|push|pop)/.test(c.ours) &&
      /^(call|ret|jmp|j[a-z]+|push|pop)/.test(c.theirs),
  ],
  [
    'with REX.W capstone takes 67 for 66 in the group of CLFLUSH, and overlooks it before JECXZ and in the name of MOV',
    (c) =>
      c.bits === 64 &&
      has(c, 0x67) &&
      c.prefixes.some((p) => (p & 0xf8) === 0x48) &&
      isBoth(c) &&
      /^(movb|jecxz|clflush|mfence)$/.test(c.ours),
  ],
  ['REX.W makes no exchange of PAUSE', (c) => c.bits === 64 && isBoth(c) && c.ours === 'pause'],
  [
    'REX.W does not widen ports',
    (c) => c.bits === 64 && /^(in|out)s?[wl]$/.test(c.ours) && /^(in|out)s?[wlq]$/.test(c.theirs),
  ],
  [
    'capstone loses 66 when F2 or F3 follows',
    (c) => isBoth(c) && has(c, 0x66) && has(c, 0xf2, 0xf3) && c.ours.slice(0, -1) === c.theirs.slice(0, -1),
  ],
  // Names.
  ['capstone 5 has no suffix: VCVTTPD2DQ of a register', (c) => isBoth(c) && `${c.theirs}y` === c.ours],
  ['capstone 4 has the name of 32 bits: MOVD', (c) => isBoth(c) && c.ours === 'movd' && c.theirs === 'movq'],
  ['capstone 4 has no suffix: SYSEXIT', (c) => isBoth(c) && c.ours === 'sysexit' && c.theirs === 'sysexitl'],
  [
    'capstone 4 has the wrong suffix: BSWAP, MOVZX, MOVSX',
    (c) => isBoth(c) && /^(bswapl|mov[zs]wl)$/.test(c.ours) && /^(bswapw|mov[zs]ww)$/.test(c.theirs),
  ],
  ['capstone 4 has no suffix: ROL by one', (c) => isBoth(c) && c.ours === 'rol' && SHIFT.test(c.theirs)],
  [
    'capstone 4 has the name right: FCOMIP, FUCOMIP',
    (c) => isBoth(c) && /^fu?comip$/.test(c.ours) && /^fu?compi$/.test(c.theirs),
  ],
  [
    'CBW and CWD of 16-bit code are not CWDE and CDQ',
    (c) => c.bits === 16 && /^c[bw]t[wd]$/.test(c.ours) && /^(cwtl|cltd)$/.test(c.theirs),
  ],
  // Prefixes.
  ['BND, XACQUIRE and XRELEASE are not written everywhere; F2 of MOVS is', (c) => isSame(c) && has(c, 0xf2, 0xf3)],
  // Operands.
  ['capstone 5 puts the accumulator first', (c) => isSwapped(c) && c.ours.startsWith('xchg')],
  ['capstone 5 has BOUND in the order of Intel', (c) => isSame(c) && c.ours === 'bound'],
  ['capstone 5 has a comma in far calls', (c) => isSame(c) && c.ours.startsWith('lcall')],
  ['capstone 5 writes a size: FBLD, FBSTP', (c) => isSame(c) && /^fb(ld|stp)$/.test(c.ours)],
  [
    'capstone 5 leaves out a count of one',
    (c) => isSame(c) && SHIFT.test(c.ours) && c.ourOperands.replace('$1, ', '') === c.theirOperands,
  ],
  ['capstone 5 shows the base of AAM and AAD', (c) => isSame(c) && /^aa[md]$/.test(c.ours)],
  ['capstone 5 shows an index that is no register', (c) => isSame(c) && /%[er]iz|\(\)/.test(c.theirOperands)],
  [
    'the second copy of TEST has signs in capstone',
    (c) => isSame(c) && c.ours.startsWith('test') && /^\$-/.test(c.theirOperands),
  ],
  [
    'capstone 5 writes large immediates in decimal',
    (c) => isSame(c) && /^mov(abs)?q$/.test(c.ours) && /^\$\d{6}/.test(c.theirOperands),
  ],
  ['RET with REX.W has a sign in capstone', (c) => isSame(c) && /^l?ret/.test(c.ours)],
  ['32-bit addresses in 16-bit code are cut in capstone', (c) => isSame(c) && c.bits === 16 && has(c, 0x67)],
  [
    'targets of branches with 66 or 67, and in 16-bit code, are not cut to 16 bits in capstone',
    (c) => isSame(c) && BRANCH.test(c.ours) && (c.bits === 16 || has(c, 0x66, 0x67)),
  ],
];

/** The reason for a difference, or null when there is none. */
export function explain(d: Difference): string | null {
  const c = takeApart(d);
  return RULES.find(([, applies]) => applies(c))?.[0] ?? null;
}
export const REASONS: readonly string[] = RULES.map(([reason]) => reason);
/** Definitions that capstone 5 has no text for: second copies of x87 instructions, which all CPUs have. */
export const NOT_IN_CAPSTONE: readonly string[] = [
  'fcom.dc.',
  'fcomp.dc.',
  'fcomp.de.',
  'fxch',
  'fxch.df.',
  'fstp',
  'fstp.df.',
];
