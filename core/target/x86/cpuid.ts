/** CPUID leaves of a CPU definition (Intel SDM volume 2A CPUID, AMD APM volume 3 appendix E), with the values QEMU 7.2 gives.
 *  Not modelled: AMD's cache topology leaves and performance monitoring, whose features are not offered. */
import { type CpuDefinition, cpuSignature } from './cpu-definition.ts';
import { xsaveStates } from './extended-control.ts';
import { XCR0 } from './state.ts';
import { XSAVE_AREA } from './x87/extended-state.ts';

/** EAX, EBX, ECX, EDX. */
export type CpuidResult = [eax: number, ebx: number, ecx: number, edx: number];

/** What of the running CPU shows in CPUID. */
export interface CpuidState {
  readonly osxsave: boolean;
  readonly xcr0: number;
  readonly ospke: boolean;
  /** APIC enabled in its base register: hides the feature bit when not. */
  readonly apicEnabled: boolean;
}
const DEFAULT_STATE: CpuidState = { osxsave: false, xcr0: 1, ospke: false, apicEnabled: true };

const HYPERVISOR_MAX = 0x4000_0001;
const HYPERVISOR_NAME = 'TCGTCGTCGTCG';

function packed(text: string, at: number): number {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = (word << 8) | ((text.charCodeAt(at + i) || 0) & 0xff);
  return word >>> 0;
}

/** Vendor string in the order EBX, EDX, ECX. */
function vendorLeaf(eax: number, vendor: string): CpuidResult {
  return [eax, packed(vendor, 0), packed(vendor, 8), packed(vendor, 4)];
}

/** A leaf above what the CPU has reads as the highest basic one. */
function clampLeaf(cpu: CpuDefinition, leaf: number): number {
  let highest = cpu.level;
  if (leaf >= 0xc000_0000) highest = cpu.xlevel2;
  else if (leaf >= 0x8000_0000) highest = cpu.xlevel;
  else if (leaf >= 0x4000_0000) highest = HYPERVISOR_MAX;
  return leaf > highest ? cpu.level : leaf;
}

/** One leaf. */
export function cpuid(cpu: CpuDefinition, askedLeaf: number, subleaf: number, live = DEFAULT_STATE): CpuidResult {
  const leaf = clampLeaf(cpu, askedLeaf);
  const { features } = cpu;
  const cpus = cpu.coresPerPackage * cpu.threadsPerCore;
  switch (leaf) {
    case 0:
      return vendorLeaf(cpu.level, cpu.vendor);
    case 1: {
      let ebx = (cpu.apicId << 24) | (8 << 8); // CLFLUSH line: 8 quadwords
      let edx = features.word('1.edx');
      if (cpus > 1) {
        ebx |= cpus << 16;
        edx |= 1 << 28; // HT
      }
      if (!live.apicEnabled) edx &= ~(1 << 9);
      return [cpuSignature(cpu), ebx >>> 0, (features.word('1.ecx') | (live.osxsave ? 1 << 27 : 0)) >>> 0, edx >>> 0];
    }
    case 2:
      return isAmd(cpu) ? [0, 0, 0, 0] : [1, 0, cpu.l3Cache ? 0x4d : 0, 0x2c307d];
    case 4:
      return isAmd(cpu) ? [0, 0, 0, 0] : cacheParameters(cpu, subleaf);
    case 5:
      return [0, 0, 3, 0]; // MWAIT extensions, interrupts break out
    case 6:
      return [features.word('6.eax'), 0, 0, 0];
    case 7:
      if (subleaf === 0) {
        const highest = features.word('7.1.eax') !== 0 ? 1 : 0;
        const ecx = features.word('7.0.ecx') | (live.ospke ? 1 << 4 : 0);
        return [highest, features.word('7.0.ebx'), ecx >>> 0, features.word('7.0.edx')];
      }
      return subleaf === 1 ? [features.word('7.1.eax'), 0, 0, 0] : [0, 0, 0, 0];
    case 0xb:
      return topology(cpu, subleaf);
    case 0xd:
      return extendedState(cpu, subleaf, live.xcr0);
    case 0x4000_0000:
      return [HYPERVISOR_MAX, packed(HYPERVISOR_NAME, 0), packed(HYPERVISOR_NAME, 4), packed(HYPERVISOR_NAME, 8)];
    case 0x8000_0000:
      return vendorLeaf(cpu.xlevel, cpu.vendor);
    case 0x8000_0001: {
      let ecx = features.word('80000001.ecx');
      if (cpus > 1 && isAmd(cpu)) ecx |= 2; // CmpLegacy
      return [cpuSignature(cpu), 0, ecx, features.word('80000001.edx')];
    }
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const at = (leaf - 0x8000_0002) * 16;
      return [0, 4, 8, 12].map((i) => packed(cpu.modelId, at + i)) as CpuidResult;
    }
    case 0x8000_0005: // L1: 255-entry TLBs, 64 KiB 2-way (EPYC: 32 KiB 8-way data, 64 KiB 4-way code)
      return cpu.legacyCache
        ? [0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140]
        : [0x01ff_01ff, 0x01ff_01ff, 0x2008_0140, 0x4004_0140];
    case 0x8000_0006: {
      const l3 = cpu.l3Cache ? (cpu.legacyCache ? 0x0080_8140 : 0x0040_8140) : 0;
      return [0, 0x4200_4200, cpu.legacyCache ? 0x0200_8140 : 0x0200_6140, l3];
    }
    case 0x8000_0007:
      return [0, 0, 0, features.word('80000007.edx')];
    case 0x8000_0008:
      return [
        cpu.physBits | (features.has('lm') ? (features.has('la57') ? 57 : 48) << 8 : 0),
        features.word('80000008.ebx'),
        cpus > 1 ? (Math.ceil(Math.log2(cpus)) << 12) | (cpus - 1) : 0,
        0,
      ];
    case 0x8000_000a:
      return features.has('svm') ? [1, 0x10, 0, features.word('8000000a.edx')] : [0, 0, 0, 0];
    case 0xc000_0000:
      return [cpu.xlevel2, 0, 0, 0];
    case 0xc000_0001:
      return [0, 0, 0, features.word('c0000001.edx')];
    default:
      return [0, 0, 0, 0];
  }
}

/** XSAVE: states, size of the area for those in XCR0 and for all, features; then size and place of each. */
function extendedState(cpu: CpuDefinition, subleaf: number, xcr0: number): CpuidResult {
  const states = xsaveStates(cpu);
  if (states === 0) return [0, 0, 0, 0];
  const { ymm, ymmBytes } = XSAVE_AREA;
  const size = (which: number) => (which & XCR0.ymm ? ymm + ymmBytes : ymm);
  if (subleaf === 0) return [states, size(xcr0), size(states), 0];
  if (subleaf === 1) return [cpu.features.word('d.1.eax'), size(states), 0, 0];
  return subleaf === 2 && states & XCR0.ymm ? [ymmBytes, ymm, 0, 0] : [0, 0, 0, 0];
}

function isAmd(cpu: CpuDefinition): boolean {
  return cpu.vendor === 'AuthenticAMD';
}

interface Cache {
  readonly type: 1 | 2 | 3;
  readonly level: number;
  readonly ways: number;
  readonly sets: number;
  /** EDX: 1 WBINVD reaches only this cache, 2 inclusive, 4 complex indexing. */
  readonly edx: number;
}
const L1_DATA: Cache = { type: 1, level: 1, ways: 8, sets: 64, edx: 1 };
const L1_CODE: Cache = { type: 2, level: 1, ways: 8, sets: 64, edx: 1 };
const L2: Cache = { type: 3, level: 2, ways: 16, sets: 4096, edx: 1 };
const L3: Cache = { type: 3, level: 3, ways: 16, sets: 16384, edx: 6 };

function cacheParameters(cpu: CpuDefinition, index: number): CpuidResult {
  const cache = [L1_DATA, L1_CODE, L2, cpu.l3Cache ? L3 : undefined][index];
  if (!cache) return [0, 0, 0, 0];
  const sharing =
    cache.level === 3 ? 2 ** (bitsFor(cpu.threadsPerCore) + bitsFor(cpu.coresPerPackage)) : cpu.threadsPerCore;
  const eax = cache.type | (cache.level << 5) | (1 << 8) | ((sharing - 1) << 14) | ((cpu.coresPerPackage - 1) << 26);
  return [eax >>> 0, (((cache.ways - 1) << 22) | 63) >>> 0, cache.sets - 1, cache.edx];
}

function bitsFor(count: number): number {
  return Math.ceil(Math.log2(count));
}

function topology(cpu: CpuDefinition, subleaf: number): CpuidResult {
  const threadBits = bitsFor(cpu.threadsPerCore);
  if (subleaf === 0) return [threadBits, cpu.threadsPerCore, 0x100, cpu.apicId];
  if (subleaf === 1)
    return [threadBits + bitsFor(cpu.coresPerPackage), cpu.coresPerPackage * cpu.threadsPerCore, 0x201, cpu.apicId];
  return [0, 0, subleaf & 0xff, cpu.apicId];
}
