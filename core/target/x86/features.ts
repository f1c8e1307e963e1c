/** CPUID feature bits under QEMU's names: one row per feature word (leaf, sub-leaf, register), names in bit order.
 *  Sources: Intel SDM volume 2A (CPUID), AMD APM volume 3 appendix E; the spelling is what `-cpu help` lists.
 *  Not here: VMX capability MSR words (no nested virtualisation) and KVM's paravirtual leaves. */

/** Register of a CPUID leaf that holds a feature word. */
export type CpuidRegister = 'EAX' | 'EBX' | 'ECX' | 'EDX';

/** Keys of the feature words, in the order in which filtering reports them. */
export type FeatureWordName = (typeof FEATURE_WORD_ROWS)[number][0];

/** A 32-bit feature word: where CPUID shows it and what its bits are called ('' where a bit has no name). */
export interface FeatureWord {
  readonly name: FeatureWordName;
  readonly leaf: number;
  readonly subleaf: number | null;
  readonly register: CpuidRegister;
  readonly bits: readonly string[];
}

// '-' stands for a bit without a name.
const FEATURE_WORD_ROWS = [
  [
    '1.edx',
    1,
    null,
    'EDX',
    'fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - ds acpi mmx fxsr sse sse2 ss ht tm ia64 pbe',
  ],
  [
    '1.ecx',
    1,
    null,
    'ECX',
    'pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm - pcid dca sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave - avx f16c rdrand hypervisor',
  ],
  [
    '7.0.ebx',
    7,
    0,
    'EBX',
    'fsgsbase tsc-adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f avx512dq rdseed adx smap avx512ifma pcommit clflushopt clwb intel-pt avx512pf avx512er avx512cd sha-ni avx512bw avx512vl',
  ],
  [
    '7.0.ecx',
    7,
    0,
    'ECX',
    '- avx512vbmi umip pku - waitpkg avx512vbmi2 - gfni vaes vpclmulqdq avx512vnni avx512bitalg - avx512-vpopcntdq - la57 - - - - - rdpid - bus-lock-detect cldemote - movdiri movdir64b - sgxlc pks',
  ],
  [
    '7.0.edx',
    7,
    0,
    'EDX',
    '- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect - md-clear - - - serialize - tsx-ldtrk - - arch-lbr - - amx-bf16 avx512-fp16 amx-tile amx-int8 spec-ctrl stibp - arch-capabilities core-capability ssbd',
  ],
  ['7.1.eax', 7, 1, 'EAX', '- - - - avx-vnni avx512-bf16'],
  [
    '80000001.edx',
    0x80000001,
    null,
    'EDX',
    '- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr-opt pdpe1gb rdtscp - lm 3dnowext 3dnow',
  ],
  [
    '80000001.ecx',
    0x80000001,
    null,
    'ECX',
    'lahf-lm cmp-legacy svm extapic cr8legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb',
  ],
  ['80000007.edx', 0x80000007, null, 'EDX', '- - - - - - - - invtsc'],
  [
    '80000008.ebx',
    0x80000008,
    null,
    'EBX',
    'clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp - - - - - - - - amd-ssbd virt-ssbd amd-no-ssb',
  ],
  [
    'c0000001.edx',
    0xc0000001,
    null,
    'EDX',
    '- - xstore xstore-en - - xcrypt xcrypt-en ace2 ace2-en phe phe-en pmm pmm-en',
  ],
  [
    '8000000a.edx',
    0x8000000a,
    null,
    'EDX',
    'npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists - - pause-filter - pfthreshold avic - v-vmsave-vmload vgif - - - - - - - - - - - svme-addr-chk',
  ],
  ['d.1.eax', 0xd, 1, 'EAX', 'xsaveopt xsavec xgetbv1 xsaves xfd'],
  ['6.eax', 6, null, 'EAX', '- - arat'],
] as const;

/** Every feature word, in reporting order. */
export const FEATURE_WORDS: readonly FeatureWord[] = FEATURE_WORD_ROWS.map(([name, leaf, subleaf, register, bits]) => ({
  name,
  leaf,
  subleaf,
  register,
  bits: bits.split(' ').map((bit) => (bit === '-' ? '' : bit)),
}));

/** Where a named feature lives. */
export interface FeatureBit {
  readonly word: FeatureWord;
  readonly bit: number;
}

const BY_NAME = new Map<string, FeatureBit>(
  FEATURE_WORDS.flatMap((word) => word.bits.flatMap((name, bit) => (name ? [[name, { word, bit }] as const] : []))),
);

/** Other spellings that `-cpu` takes for a feature. */
export const FEATURE_ALIASES: Readonly<Record<string, string>> = {
  sse3: 'pni',
  pclmuldq: 'pclmulqdq',
  'sse4-1': 'sse4.1',
  'sse4-2': 'sse4.2',
  xd: 'nx',
  ffxsr: 'fxsr-opt',
  i64: 'lm',
};

/** Finds a feature by name or alias; underscores count as dashes, as in `-cpu model,+lahf_lm`. */
export function findFeature(name: string): FeatureBit | undefined {
  const dashed = name.replaceAll('_', '-');
  return BY_NAME.get(FEATURE_ALIASES[dashed] ?? dashed);
}

/** Every feature name, sorted as `-cpu help` sorts them. */
export function featureNames(): string[] {
  return [...BY_NAME.keys()].sort();
}

/** Flags that `-cpu` knows and that show in no CPUID bit of ours: capabilities of VMX and SGX, KVM's own, and ARCH_CAPABILITIES bits. */
const FLAGS_WITHOUT_BIT: readonly string[] = (
  'full-width-write ibrs-all intel-pt-lip kvm-asyncpf kvm-asyncpf-int kvm-hint-dedicated kvm-mmu ' +
  'kvm-msi-ext-dest-id kvm-nopiodelay kvm-poll-control kvm-pv-eoi kvm-pv-ipi kvm-pv-sched-yield ' +
  'kvm-pv-tlb-flush kvm-pv-unhalt kvm-steal-time kvmclock kvmclock kvmclock-stable-bit mds-no pschange-mc-no ' +
  'rdctl-no rsba sgx-debug sgx-exinfo sgx-kss sgx-mode64 sgx-provisionkey sgx-tokenkey sgx1 sgx2 ' +
  'skip-l1dfl-vmentry split-lock-detect ssb-no taa-no tsx-ctrl vmx-activity-hlt vmx-activity-shutdown ' +
  'vmx-activity-wait-sipi vmx-apicv-register vmx-apicv-vid vmx-apicv-x2apic vmx-apicv-xapic ' +
  'vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-cr8-load-exit vmx-cr8-store-exit vmx-desc-exit vmx-encls-exit ' +
  'vmx-entry-ia32e-mode vmx-entry-load-bndcfgs vmx-entry-load-efer vmx-entry-load-pat ' +
  'vmx-entry-load-perf-global-ctrl vmx-entry-load-pkrs vmx-entry-load-rtit-ctl vmx-entry-noload-debugctl ' +
  'vmx-ept vmx-ept-1gb vmx-ept-2mb vmx-ept-advanced-exitinfo vmx-ept-execonly vmx-eptad vmx-eptp-switching ' +
  'vmx-exit-ack-intr vmx-exit-clear-bndcfgs vmx-exit-clear-rtit-ctl vmx-exit-load-efer vmx-exit-load-pat ' +
  'vmx-exit-load-perf-global-ctrl vmx-exit-load-pkrs vmx-exit-nosave-debugctl vmx-exit-save-efer ' +
  'vmx-exit-save-pat vmx-exit-save-preemption-timer vmx-flexpriority vmx-hlt-exit vmx-ins-outs vmx-intr-exit ' +
  'vmx-invept vmx-invept-all-context vmx-invept-single-context vmx-invept-single-context ' +
  'vmx-invept-single-context-noglobals vmx-invlpg-exit vmx-invpcid-exit vmx-invvpid vmx-invvpid-all-context ' +
  'vmx-invvpid-single-addr vmx-io-bitmap vmx-io-exit vmx-monitor-exit vmx-movdr-exit vmx-msr-bitmap vmx-mtf ' +
  'vmx-mwait-exit vmx-nmi-exit vmx-page-walk-4 vmx-page-walk-5 vmx-pause-exit vmx-ple vmx-pml vmx-posted-intr ' +
  'vmx-preemption-timer vmx-rdpmc-exit vmx-rdrand-exit vmx-rdseed-exit vmx-rdtsc-exit vmx-rdtscp-exit ' +
  'vmx-secondary-ctls vmx-shadow-vmcs vmx-store-lma vmx-true-ctls vmx-tsc-offset vmx-tsc-scaling ' +
  'vmx-unrestricted-guest vmx-vintr-pending vmx-vmfunc vmx-vmwrite-vmexit-fields vmx-vnmi vmx-vnmi-pending ' +
  'vmx-vpid vmx-wbinvd-exit vmx-xsaves vmx-zero-len-inject'
).split(' ');

/** Whether `-cpu` takes the name as a switch although it changes nothing here. */
export function isFlagWithoutBit(name: string): boolean {
  return FLAGS_WITHOUT_BIT.includes(name.replaceAll('_', '-'));
}

/** The flags that `-cpu help` lists, sorted; two stand there twice, as they do in two words. */
export function recognizedFlags(): string[] {
  return [...BY_NAME.keys(), ...FLAGS_WITHOUT_BIT].sort();
}

/** A set of feature bits: one unsigned 32-bit number per word. */
export class FeatureSet {
  private readonly words = new Map<FeatureWordName, number>();

  /** From names; an unknown name is our own mistake. */
  static of(names: Iterable<string>): FeatureSet {
    const set = new FeatureSet();
    for (const name of names) if (!set.set(name, true)) throw new Error(`unknown CPU feature ${name}`);
    return set;
  }

  /** The 32 bits of one word. */
  word(name: FeatureWordName): number {
    return this.words.get(name) ?? 0;
  }

  setWord(name: FeatureWordName, value: number): void {
    this.words.set(name, value >>> 0);
  }

  has(name: string): boolean {
    const feature = findFeature(name);
    return feature !== undefined && ((this.word(feature.word.name) >>> feature.bit) & 1) === 1;
  }

  /** Switches one feature; false when there is no feature of that name. */
  set(name: string, on: boolean): boolean {
    const feature = findFeature(name);
    if (!feature) return false;
    const old = this.word(feature.word.name);
    const mask = (1 << feature.bit) >>> 0;
    this.setWord(feature.word.name, on ? old | mask : old & ~mask);
    return true;
  }

  copy(): FeatureSet {
    const copy = new FeatureSet();
    for (const [name, value] of this.words) copy.words.set(name, value);
    return copy;
  }

  /** Names of all features that are on; unnamed bits do not show. */
  names(): string[] {
    return featureNames().filter((name) => this.has(name));
  }
}

/** QEMU's name of the place of a feature, as in its warnings: `CPUID.01H:EDX.vme [bit 1]`. */
export function featureDescription(word: FeatureWord, bit: number): string {
  const leaf = word.leaf.toString(16).toUpperCase().padStart(2, '0');
  const name = word.bits[bit];
  return `CPUID.${leaf}H:${word.register}${name ? `.${name}` : ''} [bit ${bit}]`;
}
