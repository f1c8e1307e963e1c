/** CPU models: vendor, family numbers and features of each, and the names that stand for a version of it.
 *  The table holds what a model *asks for*; what this CPU can give is decided by `cpu-definition.ts`.
 *  Source: the vendors' CPUID documentation as QEMU 7.2 presents it (`-cpu help`, QMP query-cpu-definitions and qom-get). */
import { FeatureSet } from './features.ts';

/** One CPU model, versions already applied. */
export interface CpuModel {
  readonly name: string;
  /** Twelve characters, shown by CPUID leaf 0. */
  readonly vendor: string;
  /** Highest basic and extended CPUID leaf (extended: 0 when there is none). */
  readonly level: number;
  readonly xlevel: number;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** Brand string of CPUID leaves 0x80000002-4. */
  readonly modelId: string;
  /** What `-cpu help` writes beside the name. */
  readonly note: string;
  /** Feature names, space separated. */
  readonly features: string;
}

interface ModelVersion extends Partial<Omit<CpuModel, 'name' | 'features'>> {
  readonly name: string;
  /** Model that this one differs from. */
  readonly base: string;
  readonly add: string;
  readonly remove: string;
}

/** What a CPU has that has no features of its own. */
const BASE: CpuModel = {
  name: 'base',
  vendor: '',
  level: 0,
  xlevel: 0,
  family: 0,
  model: 0,
  stepping: 0,
  modelId: '',
  note: 'base CPU model type with no features enabled',
  features: '',
};

/** Everything that the CPU implements; its feature list is filled in by `cpu-definition.ts`. */
const MAX: CpuModel = {
  name: 'max',
  vendor: 'AuthenticAMD',
  level: 13,
  xlevel: 0x8000000a,
  family: 15,
  model: 107,
  stepping: 1,
  modelId: 'QEMU TCG CPU version 2.5+',
  note: 'Enables all features supported by the accelerator in the current host',
  features: '',
};

// biome-ignore format: one model per line reads as a table
const ROWS: readonly (CpuModel | ModelVersion)[] = [
  { name: '486-v1', vendor: 'GenuineIntel', level: 1, xlevel: 0x0, family: 4, model: 8, stepping: 0, modelId: '', note: '', features: 'fpu pse' },
  { name: 'Broadwell-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 61, stepping: 2, modelId: 'Intel Core Processor (Broadwell)', note: 'Intel Core Processor (Broadwell)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm rdseed adx smap syscall nx rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt arat' },
  { name: 'Broadwell-v2', base: 'Broadwell-v1', note: 'Intel Core Processor (Broadwell, no TSX)', add: '', remove: 'hle rtm', modelId: 'Intel Core Processor (Broadwell, no TSX)' },
  { name: 'Broadwell-v3', base: 'Broadwell-v1', note: 'Intel Core Processor (Broadwell, IBRS)', add: 'spec-ctrl', remove: '', modelId: 'Intel Core Processor (Broadwell, IBRS)' },
  { name: 'Broadwell-v4', base: 'Broadwell-v1', note: 'Intel Core Processor (Broadwell, no TSX, IBRS)', add: 'spec-ctrl', remove: 'hle rtm', modelId: 'Intel Core Processor (Broadwell, no TSX, IBRS)' },
  { name: 'Cascadelake-Server-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 85, stepping: 6, modelId: 'Intel Xeon Processor (Cascadelake)', note: 'Intel Xeon Processor (Cascadelake)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx smap clflushopt clwb avx512cd avx512bw avx512vl pku avx512vnni spec-ctrl ssbd syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Cascadelake-Server-v2', base: 'Cascadelake-Server-v1', note: 'Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES]', add: 'arch-capabilities', remove: '' },
  { name: 'Cascadelake-Server-v3', base: 'Cascadelake-Server-v1', note: 'Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, no TSX]', add: 'arch-capabilities', remove: 'hle rtm' },
  { name: 'Cascadelake-Server-v4', base: 'Cascadelake-Server-v1', note: 'Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, EPT switching, no TSX]', add: 'arch-capabilities', remove: 'hle rtm' },
  { name: 'Cascadelake-Server-v5', base: 'Cascadelake-Server-v1', note: 'Intel Xeon Processor (Cascadelake) [ARCH_CAPABILITIES, EPT switching, XSAVES, no TSX]', add: 'arch-capabilities xsaves', remove: 'hle rtm' },
  { name: 'Conroe-v1', vendor: 'GenuineIntel', level: 10, xlevel: 0x80000008, family: 6, model: 15, stepping: 3, modelId: 'Intel Celeron_4x0 (Conroe/Merom Class Core 2)', note: 'Intel Celeron_4x0 (Conroe/Merom Class Core 2)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni ssse3 syscall nx lm lahf-lm' },
  { name: 'Cooperlake-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 85, stepping: 10, modelId: 'Intel Xeon Processor (Cooperlake)', note: 'Intel Xeon Processor (Cooperlake)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx smap clflushopt clwb avx512cd avx512bw avx512vl pku avx512vnni spec-ctrl stibp arch-capabilities ssbd avx512-bf16 syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Cooperlake-v2', base: 'Cooperlake-v1', note: 'Intel Xeon Processor (Cooperlake) [XSAVES]', add: 'xsaves', remove: '' },
  { name: 'Denverton-v1', vendor: 'GenuineIntel', level: 21, xlevel: 0x80000008, family: 6, model: 95, stepping: 1, modelId: 'Intel Atom Processor (Denverton)', note: 'Intel Atom Processor (Denverton)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 cx16 sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave rdrand fsgsbase smep erms mpx rdseed smap clflushopt sha-ni spec-ctrl arch-capabilities ssbd syscall nx pdpe1gb rdtscp lm lahf-lm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Denverton-v2', base: 'Denverton-v1', note: 'Intel Atom Processor (Denverton) [no MPX, no MONITOR]', add: '', remove: 'monitor mpx' },
  { name: 'Denverton-v3', base: 'Denverton-v1', note: 'Intel Atom Processor (Denverton) [XSAVES, no MPX, no MONITOR]', add: 'xsaves', remove: 'monitor mpx' },
  { name: 'Dhyana-v1', vendor: 'HygonGenuine', level: 13, xlevel: 0x8000001e, family: 24, model: 0, stepping: 1, modelId: 'Hygon Dhyana Processor', note: 'Hygon Dhyana Processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni monitor ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt xsave avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw topoext ibpb npt nrip-save xsaveopt xsavec xgetbv1 arat' },
  { name: 'Dhyana-v2', base: 'Dhyana-v1', note: 'Hygon Dhyana Processor [XSAVES]', add: 'xsaves', remove: '' },
  { name: 'EPYC-Milan-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000001e, family: 25, model: 1, stepping: 1, modelId: 'AMD EPYC-Milan Processor', note: 'AMD EPYC-Milan Processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 pcid sse4.1 sse4.2 movbe popcnt aes xsave avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb sha-ni umip pku rdpid fsrm syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw topoext perfctr-core clzero xsaveerptr wbnoinvd ibpb ibrs amd-stibp amd-ssbd npt nrip-save svme-addr-chk xsaveopt xsavec xgetbv1 xsaves arat' },
  { name: 'EPYC-Rome-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000001e, family: 23, model: 49, stepping: 0, modelId: 'AMD EPYC-Rome Processor', note: 'AMD EPYC-Rome Processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt aes xsave avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt clwb sha-ni umip rdpid syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw topoext perfctr-core clzero xsaveerptr wbnoinvd ibpb amd-stibp npt nrip-save xsaveopt xsavec xgetbv1 xsaves arat' },
  { name: 'EPYC-Rome-v2', base: 'EPYC-Rome-v1', note: 'AMD EPYC-Rome Processor', add: 'ibrs amd-ssbd', remove: '' },
  { name: 'EPYC-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000001e, family: 23, model: 1, stepping: 2, modelId: 'AMD EPYC Processor', note: 'AMD EPYC Processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt aes xsave avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt sha-ni syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw topoext npt nrip-save xsaveopt xsavec xgetbv1 arat' },
  { name: 'EPYC-v2', base: 'EPYC-v1', note: 'AMD EPYC Processor (with IBPB)', add: 'ibpb', remove: '', modelId: 'AMD EPYC Processor (with IBPB)' },
  { name: 'EPYC-v3', base: 'EPYC-v1', note: 'AMD EPYC Processor', add: 'perfctr-core clzero xsaveerptr ibpb xsaves', remove: '' },
  { name: 'Haswell-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 60, stepping: 4, modelId: 'Intel Core Processor (Haswell)', note: 'Intel Core Processor (Haswell)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm syscall nx rdtscp lm lahf-lm abm xsaveopt arat' },
  { name: 'Haswell-v2', base: 'Haswell-v1', note: 'Intel Core Processor (Haswell, no TSX)', add: '', remove: 'hle rtm', stepping: 1, modelId: 'Intel Core Processor (Haswell, no TSX)' },
  { name: 'Haswell-v3', base: 'Haswell-v1', note: 'Intel Core Processor (Haswell, IBRS)', add: 'spec-ctrl', remove: '', modelId: 'Intel Core Processor (Haswell, IBRS)' },
  { name: 'Haswell-v4', base: 'Haswell-v1', note: 'Intel Core Processor (Haswell, no TSX, IBRS)', add: 'spec-ctrl', remove: 'hle rtm', stepping: 1, modelId: 'Intel Core Processor (Haswell, no TSX, IBRS)' },
  { name: 'Icelake-Server-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 134, stepping: 0, modelId: 'Intel Xeon Processor (Icelake)', note: 'Intel Xeon Processor (Icelake)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx smap clflushopt clwb avx512cd avx512bw avx512vl avx512vbmi umip pku avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg avx512-vpopcntdq la57 spec-ctrl ssbd syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch wbnoinvd xsaveopt xsavec xgetbv1 arat' },
  { name: 'Icelake-Server-v2', base: 'Icelake-Server-v1', note: 'Intel Xeon Processor (Icelake) [no TSX]', add: '', remove: 'hle rtm' },
  { name: 'Icelake-Server-v3', base: 'Icelake-Server-v1', note: 'Intel Xeon Processor (Icelake)', add: 'arch-capabilities', remove: 'hle rtm' },
  { name: 'Icelake-Server-v4', base: 'Icelake-Server-v1', note: 'Intel Xeon Processor (Icelake)', add: 'avx512ifma sha-ni rdpid fsrm arch-capabilities', remove: 'hle rtm', model: 106 },
  { name: 'Icelake-Server-v5', base: 'Icelake-Server-v1', note: 'Intel Xeon Processor (Icelake) [XSAVES]', add: 'avx512ifma sha-ni rdpid fsrm arch-capabilities xsaves', remove: 'hle rtm', model: 106 },
  { name: 'Icelake-Server-v6', base: 'Icelake-Server-v1', note: 'Intel Xeon Processor (Icelake) [5-level EPT]', add: 'avx512ifma sha-ni rdpid fsrm arch-capabilities xsaves', remove: 'hle rtm', model: 106 },
  { name: 'IvyBridge-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 58, stepping: 9, modelId: 'Intel Xeon E3-12xx v2 (Ivy Bridge)', note: 'Intel Xeon E3-12xx v2 (Ivy Bridge)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 x2apic popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase smep erms syscall nx rdtscp lm lahf-lm xsaveopt arat' },
  { name: 'IvyBridge-v2', base: 'IvyBridge-v1', note: 'Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)', add: 'spec-ctrl', remove: '', modelId: 'Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)' },
  { name: 'KnightsMill-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 133, stepping: 0, modelId: 'Intel Xeon Phi Processor (Knights Mill)', note: 'Intel Xeon Phi Processor (Knights Mill)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ss pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 avx2 smep bmi2 erms avx512f rdseed adx avx512pf avx512er avx512cd avx512-vpopcntdq avx512-4vnniw avx512-4fmaps syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt arat' },
  { name: 'Nehalem-v1', vendor: 'GenuineIntel', level: 11, xlevel: 0x80000008, family: 6, model: 26, stepping: 3, modelId: 'Intel Core i7 9xx (Nehalem Class Core i7)', note: 'Intel Core i7 9xx (Nehalem Class Core i7)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni ssse3 cx16 sse4.1 sse4.2 popcnt syscall nx lm lahf-lm' },
  { name: 'Nehalem-v2', base: 'Nehalem-v1', note: 'Intel Core i7 9xx (Nehalem Core i7, IBRS update)', add: 'spec-ctrl', remove: '', modelId: 'Intel Core i7 9xx (Nehalem Core i7, IBRS update)' },
  { name: 'Opteron_G1-v1', vendor: 'AuthenticAMD', level: 5, xlevel: 0x80000008, family: 15, model: 6, stepping: 1, modelId: 'AMD Opteron 240 (Gen 1 Class Opteron)', note: 'AMD Opteron 240 (Gen 1 Class Opteron)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni syscall nx lm' },
  { name: 'Opteron_G2-v1', vendor: 'AuthenticAMD', level: 5, xlevel: 0x8000000a, family: 15, model: 6, stepping: 1, modelId: 'AMD Opteron 22xx (Gen 2 Class Opteron)', note: 'AMD Opteron 22xx (Gen 2 Class Opteron)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni cx16 syscall nx lm lahf-lm svm' },
  { name: 'Opteron_G3-v1', vendor: 'AuthenticAMD', level: 5, xlevel: 0x8000000a, family: 16, model: 2, stepping: 3, modelId: 'AMD Opteron 23xx (Gen 3 Class Opteron)', note: 'AMD Opteron 23xx (Gen 3 Class Opteron)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni monitor cx16 popcnt syscall nx rdtscp lm lahf-lm svm abm sse4a misalignsse' },
  { name: 'Opteron_G4-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000001a, family: 21, model: 1, stepping: 2, modelId: 'AMD Opteron 62xx class CPU', note: 'AMD Opteron 62xx class CPU', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 popcnt aes xsave avx syscall nx pdpe1gb rdtscp lm lahf-lm svm abm sse4a misalignsse 3dnowprefetch xop fma4 npt nrip-save' },
  { name: 'Opteron_G5-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000001a, family: 21, model: 2, stepping: 0, modelId: 'AMD Opteron 63xx class CPU', note: 'AMD Opteron 63xx class CPU', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 popcnt aes xsave avx f16c syscall nx pdpe1gb rdtscp lm lahf-lm svm abm sse4a misalignsse 3dnowprefetch xop fma4 tbm npt nrip-save' },
  { name: 'Penryn-v1', vendor: 'GenuineIntel', level: 10, xlevel: 0x80000008, family: 6, model: 23, stepping: 3, modelId: 'Intel Core 2 Duo P9xxx (Penryn Class Core 2)', note: 'Intel Core 2 Duo P9xxx (Penryn Class Core 2)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni ssse3 cx16 sse4.1 syscall nx lm lahf-lm' },
  { name: 'SandyBridge-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 42, stepping: 1, modelId: 'Intel Xeon E312xx (Sandy Bridge)', note: 'Intel Xeon E312xx (Sandy Bridge)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 x2apic popcnt tsc-deadline aes xsave avx syscall nx rdtscp lm lahf-lm xsaveopt arat' },
  { name: 'SandyBridge-v2', base: 'SandyBridge-v1', note: 'Intel Xeon E312xx (Sandy Bridge, IBRS update)', add: 'spec-ctrl', remove: '', modelId: 'Intel Xeon E312xx (Sandy Bridge, IBRS update)' },
  { name: 'Skylake-Client-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 94, stepping: 3, modelId: 'Intel Core Processor (Skylake)', note: 'Intel Core Processor (Skylake)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm rdseed adx smap syscall nx rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Skylake-Client-v2', base: 'Skylake-Client-v1', note: 'Intel Core Processor (Skylake, IBRS)', add: 'spec-ctrl', remove: '', modelId: 'Intel Core Processor (Skylake, IBRS)' },
  { name: 'Skylake-Client-v3', base: 'Skylake-Client-v1', note: 'Intel Core Processor (Skylake, IBRS, no TSX)', add: 'spec-ctrl', remove: 'hle rtm', modelId: 'Intel Core Processor (Skylake, IBRS, no TSX)' },
  { name: 'Skylake-Client-v4', base: 'Skylake-Client-v1', note: 'Intel Core Processor (Skylake, IBRS, no TSX) [IBRS, XSAVES, no TSX]', add: 'spec-ctrl xsaves', remove: 'hle rtm', modelId: 'Intel Core Processor (Skylake, IBRS, no TSX)' },
  { name: 'Skylake-Server-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 6, model: 85, stepping: 4, modelId: 'Intel Xeon Processor (Skylake)', note: 'Intel Xeon Processor (Skylake)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx smap clflushopt clwb avx512cd avx512bw avx512vl pku syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Skylake-Server-v2', base: 'Skylake-Server-v1', note: 'Intel Xeon Processor (Skylake, IBRS)', add: 'spec-ctrl', remove: 'clflushopt', modelId: 'Intel Xeon Processor (Skylake, IBRS)' },
  { name: 'Skylake-Server-v3', base: 'Skylake-Server-v1', note: 'Intel Xeon Processor (Skylake, IBRS, no TSX)', add: 'spec-ctrl', remove: 'hle rtm clflushopt', modelId: 'Intel Xeon Processor (Skylake, IBRS, no TSX)' },
  { name: 'Skylake-Server-v4', base: 'Skylake-Server-v1', note: 'Intel Xeon Processor (Skylake, IBRS, no TSX) [IBRS, EPT switching, no TSX]', add: 'spec-ctrl', remove: 'hle rtm clflushopt', modelId: 'Intel Xeon Processor (Skylake, IBRS, no TSX)' },
  { name: 'Skylake-Server-v5', base: 'Skylake-Server-v1', note: 'Intel Xeon Processor (Skylake, IBRS, no TSX) [IBRS, XSAVES, EPT switching, no TSX]', add: 'spec-ctrl xsaves', remove: 'hle rtm clflushopt', modelId: 'Intel Xeon Processor (Skylake, IBRS, no TSX)' },
  { name: 'Snowridge-v1', vendor: 'GenuineIntel', level: 27, xlevel: 0x80000008, family: 6, model: 134, stepping: 1, modelId: 'Intel Atom Processor (SnowRidge)', note: 'Intel Atom Processor (SnowRidge)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 cx16 sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave rdrand fsgsbase smep erms mpx rdseed smap clflushopt clwb sha-ni umip gfni cldemote movdiri movdir64b spec-ctrl arch-capabilities core-capability ssbd syscall nx pdpe1gb rdtscp lm lahf-lm 3dnowprefetch xsaveopt xsavec xgetbv1 arat' },
  { name: 'Snowridge-v2', base: 'Snowridge-v1', note: 'Intel Atom Processor (Snowridge, no MPX)', add: '', remove: 'mpx', modelId: 'Intel Atom Processor (Snowridge, no MPX)' },
  { name: 'Snowridge-v3', base: 'Snowridge-v1', note: 'Intel Atom Processor (Snowridge, no MPX) [XSAVES, no MPX]', add: 'xsaves', remove: 'mpx', modelId: 'Intel Atom Processor (Snowridge, no MPX)' },
  { name: 'Snowridge-v4', base: 'Snowridge-v1', note: 'Intel Atom Processor (Snowridge, no MPX) [no split lock detect, no core-capability]', add: 'xsaves', remove: 'mpx core-capability', modelId: 'Intel Atom Processor (Snowridge, no MPX)' },
  { name: 'Westmere-v1', vendor: 'GenuineIntel', level: 11, xlevel: 0x80000008, family: 6, model: 44, stepping: 1, modelId: 'Westmere E56xx/L56xx/X56xx (Nehalem-C)', note: 'Westmere E56xx/L56xx/X56xx (Nehalem-C)', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 popcnt aes syscall nx lm lahf-lm arat' },
  { name: 'Westmere-v2', base: 'Westmere-v1', note: 'Westmere E56xx/L56xx/X56xx (IBRS update)', add: 'spec-ctrl', remove: '', modelId: 'Westmere E56xx/L56xx/X56xx (IBRS update)' },
  { name: 'athlon-v1', vendor: 'AuthenticAMD', level: 2, xlevel: 0x80000008, family: 6, model: 2, stepping: 3, modelId: 'QEMU Virtual CPU version 2.5+', note: 'QEMU Virtual CPU version 2.5+', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx fxsr sse sse2 mmxext 3dnowext 3dnow' },
  { name: 'core2duo-v1', vendor: 'GenuineIntel', level: 10, xlevel: 0x80000008, family: 6, model: 15, stepping: 11, modelId: 'Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz', note: 'Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush acpi mmx fxsr sse sse2 ss pni monitor ssse3 cx16 syscall nx lm lahf-lm' },
  { name: 'coreduo-v1', vendor: 'GenuineIntel', level: 10, xlevel: 0x80000008, family: 6, model: 14, stepping: 8, modelId: 'Genuine Intel(R) CPU           T2600  @ 2.16GHz', note: 'Genuine Intel(R) CPU           T2600  @ 2.16GHz', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush acpi mmx fxsr sse sse2 ss pni monitor nx' },
  { name: 'kvm32-v1', vendor: 'GenuineIntel', level: 5, xlevel: 0x80000008, family: 15, model: 6, stepping: 1, modelId: 'Common 32-bit KVM processor', note: 'Common 32-bit KVM processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni' },
  { name: 'kvm64-v1', vendor: 'GenuineIntel', level: 13, xlevel: 0x80000008, family: 15, model: 6, stepping: 1, modelId: 'Common KVM processor', note: 'Common KVM processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni cx16 syscall nx lm' },
  { name: 'n270-v1', vendor: 'GenuineIntel', level: 10, xlevel: 0x80000008, family: 6, model: 28, stepping: 2, modelId: 'Intel(R) Atom(TM) CPU N270   @ 1.60GHz', note: 'Intel(R) Atom(TM) CPU N270   @ 1.60GHz', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush acpi mmx fxsr sse sse2 ss pni monitor ssse3 movbe nx lahf-lm' },
  { name: 'pentium-v1', vendor: 'GenuineIntel', level: 1, xlevel: 0x0, family: 5, model: 4, stepping: 3, modelId: '', note: '', features: 'fpu de pse tsc msr mce cx8 apic mmx' },
  { name: 'pentium2-v1', vendor: 'GenuineIntel', level: 2, xlevel: 0x0, family: 6, model: 5, stepping: 2, modelId: '', note: '', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx fxsr' },
  { name: 'pentium3-v1', vendor: 'GenuineIntel', level: 3, xlevel: 0x0, family: 6, model: 7, stepping: 3, modelId: '', note: '', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx fxsr sse' },
  { name: 'phenom-v1', vendor: 'AuthenticAMD', level: 5, xlevel: 0x8000001a, family: 16, model: 2, stepping: 3, modelId: 'AMD Phenom(tm) 9550 Quad-Core Processor', note: 'AMD Phenom(tm) 9550 Quad-Core Processor', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni monitor cx16 popcnt syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm 3dnowext 3dnow lahf-lm svm abm sse4a npt' },
  { name: 'qemu32-v1', vendor: 'GenuineIntel', level: 4, xlevel: 0x80000004, family: 6, model: 6, stepping: 3, modelId: 'QEMU Virtual CPU version 2.5+', note: 'QEMU Virtual CPU version 2.5+', features: 'fpu de pse tsc msr pae mce cx8 apic sep pge cmov pat mmx fxsr sse sse2 pni' },
  { name: 'qemu64-v1', vendor: 'AuthenticAMD', level: 13, xlevel: 0x8000000a, family: 15, model: 107, stepping: 1, modelId: 'QEMU Virtual CPU version 2.5+', note: 'QEMU Virtual CPU version 2.5+', features: 'fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pni cx16 syscall nx lm lahf-lm svm' },
];

/** Names that stand for a version of a model. */
// biome-ignore format: one name per line reads as a table
export const CPU_MODEL_ALIASES: Readonly<Record<string, string>> = {
  '486': '486-v1',
  'Broadwell': 'Broadwell-v1',
  'Broadwell-IBRS': 'Broadwell-v3',
  'Broadwell-noTSX': 'Broadwell-v2',
  'Broadwell-noTSX-IBRS': 'Broadwell-v4',
  'Cascadelake-Server': 'Cascadelake-Server-v1',
  'Cascadelake-Server-noTSX': 'Cascadelake-Server-v3',
  'Conroe': 'Conroe-v1',
  'Cooperlake': 'Cooperlake-v1',
  'Denverton': 'Denverton-v1',
  'Dhyana': 'Dhyana-v1',
  'EPYC': 'EPYC-v1',
  'EPYC-IBPB': 'EPYC-v2',
  'EPYC-Milan': 'EPYC-Milan-v1',
  'EPYC-Rome': 'EPYC-Rome-v1',
  'Haswell': 'Haswell-v1',
  'Haswell-IBRS': 'Haswell-v3',
  'Haswell-noTSX': 'Haswell-v2',
  'Haswell-noTSX-IBRS': 'Haswell-v4',
  'Icelake-Server': 'Icelake-Server-v1',
  'Icelake-Server-noTSX': 'Icelake-Server-v2',
  'IvyBridge': 'IvyBridge-v1',
  'IvyBridge-IBRS': 'IvyBridge-v2',
  'KnightsMill': 'KnightsMill-v1',
  'Nehalem': 'Nehalem-v1',
  'Nehalem-IBRS': 'Nehalem-v2',
  'Opteron_G1': 'Opteron_G1-v1',
  'Opteron_G2': 'Opteron_G2-v1',
  'Opteron_G3': 'Opteron_G3-v1',
  'Opteron_G4': 'Opteron_G4-v1',
  'Opteron_G5': 'Opteron_G5-v1',
  'Penryn': 'Penryn-v1',
  'SandyBridge': 'SandyBridge-v1',
  'SandyBridge-IBRS': 'SandyBridge-v2',
  'Skylake-Client': 'Skylake-Client-v1',
  'Skylake-Client-IBRS': 'Skylake-Client-v2',
  'Skylake-Client-noTSX-IBRS': 'Skylake-Client-v3',
  'Skylake-Server': 'Skylake-Server-v1',
  'Skylake-Server-IBRS': 'Skylake-Server-v2',
  'Skylake-Server-noTSX-IBRS': 'Skylake-Server-v3',
  'Snowridge': 'Snowridge-v1',
  'Westmere': 'Westmere-v1',
  'Westmere-IBRS': 'Westmere-v2',
  'athlon': 'athlon-v1',
  'core2duo': 'core2duo-v1',
  'coreduo': 'coreduo-v1',
  'kvm32': 'kvm32-v1',
  'kvm64': 'kvm64-v1',
  'n270': 'n270-v1',
  'pentium': 'pentium-v1',
  'pentium2': 'pentium2-v1',
  'pentium3': 'pentium3-v1',
  'phenom': 'phenom-v1',
  'qemu32': 'qemu32-v1',
  'qemu64': 'qemu64-v1',
};

function applyVersion(row: ModelVersion, base: CpuModel): CpuModel {
  const { add, remove, base: _base, ...changes } = row;
  const features = FeatureSet.of(words(base.features));
  for (const name of words(add)) features.set(name, true);
  for (const name of words(remove)) features.set(name, false);
  return { ...base, ...changes, features: features.names().join(' ') };
}

function words(list: string): string[] {
  return list.split(' ').filter((word) => word !== '');
}

/** All models by their own (versioned) names. */
export const CPU_MODELS: ReadonlyMap<string, CpuModel> = (() => {
  const models = new Map<string, CpuModel>([
    [BASE.name, BASE],
    [MAX.name, MAX],
  ]);
  for (const row of ROWS) {
    if (!('base' in row)) {
      models.set(row.name, row);
      continue;
    }
    const base = models.get(row.base);
    if (!base) throw new Error(`CPU model ${row.name} builds on ${row.base}, which is not above it`);
    models.set(row.name, applyVersion(row, base));
  }
  return models;
})();

/** The model that a `-cpu` name means, or undefined. */
export function findCpuModel(name: string): CpuModel | undefined {
  return CPU_MODELS.get(CPU_MODEL_ALIASES[name] ?? name);
}

/** QOM type of a model: `qemu64-x86_64-cpu`. */
export function cpuTypeName(model: string): string {
  return `${model}-x86_64-cpu`;
}

/** Listed, but refused without a hypervisor of the host. */
const HOST = { name: 'host', note: 'processor with all supported host features ' };

/** Every name that `-cpu` knows, with the text that `-cpu help` shows beside it, in its order. */
export function cpuHelpLines(): { readonly name: string; readonly note: string }[] {
  const aliases = Object.entries(CPU_MODEL_ALIASES).map(([name, target]) => ({
    name,
    note: target === `${name}-v1` ? '(alias configured by machine type)' : `(alias of ${target})`,
  }));
  const models = [...CPU_MODELS.values()]
    .filter((model) => model !== BASE && model !== MAX)
    .map(({ name, note }) => ({ name, note }));
  const sorted = [...aliases, ...models].sort((a, b) => (a.name < b.name ? -1 : 1));
  const last = [BASE, HOST, MAX].map(({ name, note }) => ({ name, note }));
  return [...sorted, ...last];
}
