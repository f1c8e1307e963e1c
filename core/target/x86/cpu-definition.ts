/** From `-cpu model,+feat,-feat,prop=value` to the CPU that the guest sees: model, properties, and features filtered by what
 *  is implemented, with QEMU's warnings and error texts. */
import { UserError } from '../../util/errors.ts';
import { FEATURE_WORDS, FeatureSet, featureDescription, findFeature, isFlagWithoutBit } from './features.ts';
import { type CpuModel, cpuTypeName, findCpuModel } from './models.ts';

/** What this CPU can do. Long mode joins when its instructions do, SMAP when STAC and CLAC do. */
export const IMPLEMENTED_FEATURES: readonly string[] = (
  'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush acpi mmx fxsr sse sse2 pni ssse3 sse4.1 sse4.2 ' +
  'aes pclmulqdq popcnt ss monitor movbe rdrand hypervisor nx smep adx rdseed clflushopt clwb sha-ni syscall mmxext rdtscp ' +
  'lahf-lm abm arat'
).split(' ');

/** Everything CPUID, paging and the MSRs need to know about one CPU. */
export interface CpuDefinition {
  /** Name as given to `-cpu`. */
  readonly name: string;
  readonly vendor: string;
  readonly level: number;
  readonly xlevel: number;
  readonly xlevel2: number;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly modelId: string;
  readonly features: FeatureSet;
  /** Features asked for and taken away. */
  readonly filtered: FeatureSet;
  readonly physBits: number;
  readonly apicId: number;
  readonly coresPerPackage: number;
  readonly threadsPerCore: number;
  /** `legacy-cache`: fixed cache leaves instead of the model's own. */
  readonly legacyCache: boolean;
  readonly l3Cache: boolean;
  /** Hertz, or null: the TSC runs at the host clock's rate and no leaf tells it. */
  readonly tscHz: number | null;
}

/** Position of one CPU in the machine. */
export interface CpuTopology {
  readonly apicId: number;
  readonly coresPerPackage: number;
  readonly threadsPerCore: number;
}
export const ONE_CPU: CpuTopology = { apicId: 0, coresPerPackage: 1, threadsPerCore: 1 };

/** Numeric properties: range, and what they set. */
const NUMBERS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  family: [0, 270],
  model: [0, 255],
  stepping: [0, 15],
  level: [0, 0xffff_ffff],
  xlevel: [0, 0xffff_ffff],
  xlevel2: [0, 0xffff_ffff],
  'min-level': [0, 0xffff_ffff],
  'min-xlevel': [0, 0xffff_ffff],
  'min-xlevel2': [0, 0xffff_ffff],
  'phys-bits': [0, 52],
  'host-phys-bits-limit': [0, 255],
  'tsc-frequency': [0, Number.MAX_SAFE_INTEGER],
  'hv-spinlocks': [0, 0xffff_ffff],
  'ucode-rev': [0, Number.MAX_SAFE_INTEGER],
  'apic-id': [0, 0xffff_ffff],
  'node-id': [-1, 0x7fff_ffff],
  'socket-id': [-1, 0x7fff_ffff],
  'die-id': [-1, 0x7fff_ffff],
  'core-id': [-1, 0x7fff_ffff],
  'thread-id': [-1, 0x7fff_ffff],
};

/** Switches that are not CPUID features, with their defaults. Those that matter are read below; the others are taken and have no
 *  effect under our own accelerator, as under TCG. */
const SWITCHES: Readonly<Record<string, boolean>> = {
  check: true,
  enforce: false,
  'l3-cache': true,
  'legacy-cache': true,
  'full-cpuid-auto-level': true,
  'fill-mtrr-mask': true,
  'host-phys-bits': false,
  'host-cache-info': false,
  'cpuid-0xb': true,
  pmu: false,
  kvm: true,
  'tcg-cpuid': true,
  lmce: false,
  migratable: true,
  'vmware-cpuid-freq': true,
  'xen-vapic': false,
  'intel-pt-auto-level': true,
  'x-intel-pt-auto-level': true,
  'start-powered-off': false,
};

/** A `-cpu` argument taken apart: what it asks for, in order. */
export interface CpuRequest {
  readonly name: string;
  readonly model: CpuModel;
  /** `+feature` and `-feature`. */
  readonly plusMinus: readonly (readonly [feature: string, on: boolean])[];
  readonly properties: readonly (readonly [key: string, value: string])[];
}

/** Splits a `-cpu` argument. @throws UserError with QEMU's text for an unknown model */
export function parseCpuOption(text: string): CpuRequest {
  const [name = '', ...rest] = text.split(',');
  if (name === 'host') throw new UserError("CPU model 'host' requires KVM or HVF");
  const model = findCpuModel(name);
  if (!model) throw new UserError(`unable to find CPU model '${name}'`);
  const plusMinus: [string, boolean][] = [];
  const properties: [string, string][] = [];
  for (const part of rest) {
    if (part === '') continue;
    if (part[0] === '+' || part[0] === '-') {
      plusMinus.push([part.slice(1).replaceAll('_', '-'), part[0] === '+']);
      continue;
    }
    const equals = part.indexOf('=');
    const key = (equals < 0 ? part : part.slice(0, equals)).replaceAll('_', '-');
    properties.push([key, equals < 0 ? 'on' : part.slice(equals + 1)]);
  }
  return { name, model, plusMinus, properties };
}

/** Applies a request. Warnings are whole lines without the program's name. @throws UserError with QEMU's texts */
export function defineCpu(
  request: CpuRequest,
  topology: CpuTopology = ONE_CPU,
  implemented: Iterable<string> = IMPLEMENTED_FEATURES,
): { definition: CpuDefinition; warnings: string[] } {
  const { model } = request;
  const available = FeatureSet.of(implemented);
  const numbers = new Map<string, number>();
  const switches = new Map(Object.entries(SWITCHES));
  if (/^(EPYC|Dhyana)/.test(model.name)) switches.set('legacy-cache', false);
  let { vendor, modelId } = model;
  const features = model.name === 'max' ? available.copy() : FeatureSet.of(words(model.features));
  if (model.name !== 'base') features.set('hypervisor', true);

  for (const [key, value] of request.properties) {
    const refuse = (reason: string) => {
      throw new UserError(`can't apply global ${cpuTypeName(request.name)}.${key}=${value}: ${reason}`);
    };
    if (findFeature(key)) features.set(key, parseSwitch(key, value, refuse));
    else if (key in SWITCHES) switches.set(key, parseSwitch(key, value, refuse));
    else if (key in NUMBERS) numbers.set(key, parseNumber(key, value, refuse));
    else if (key === 'vendor') {
      if (value.length !== 12) refuse(`Property '.vendor' doesn't take value '${value}'`);
      vendor = value;
    } else if (key === 'model-id') modelId = value;
    else if (isFlagWithoutBit(key)) parseSwitch(key, value, refuse);
    else if (!key.startsWith('hv-')) refuse(`Property '${cpuTypeName(request.name)}.${key}' not found`);
  }
  for (const [name, on] of request.plusMinus)
    if (!features.set(name, on) && !(name in SWITCHES) && !isFlagWithoutBit(name))
      throw new UserError(`Property '${cpuTypeName(request.name)}.${name}' not found`);

  const { kept, filtered, warnings } = filterFeatures(features, available);
  mirrorAmdBits(kept, vendor);
  if (switches.get('enforce') && warnings.length > 0)
    throw new UserError("TCG doesn't support requested features", warnings.join('\n'));

  const isWide = kept.has('lm');
  const definition: CpuDefinition = {
    name: request.name,
    vendor,
    modelId,
    level: numbers.get('level') ?? Math.max(model.level, numbers.get('min-level') ?? 0),
    xlevel: numbers.get('xlevel') ?? Math.max(model.xlevel, numbers.get('min-xlevel') ?? 0),
    xlevel2: numbers.get('xlevel2') ?? 0,
    family: numbers.get('family') ?? model.family,
    model: numbers.get('model') ?? model.model,
    stepping: numbers.get('stepping') ?? model.stepping,
    features: kept,
    filtered,
    // Not only long mode has wide addresses, but the size of PAE's is told by nothing else before it.
    physBits: numbers.get('phys-bits') || (isWide || features.has('lm') ? 40 : kept.has('pse36') ? 36 : 32),
    ...topology,
    legacyCache: switches.get('legacy-cache')!,
    l3Cache: switches.get('l3-cache')!,
    tscHz: numbers.get('tsc-frequency') || null,
  };
  return { definition, warnings: switches.get('check') || switches.get('enforce') ? warnings : [] };
}

function words(list: string): string[] {
  return list.split(' ').filter((word) => word !== '');
}

function parseSwitch(key: string, value: string, refuse: (reason: string) => void): boolean {
  if (value === 'on' || value === 'yes' || value === 'true' || value === 'y') return true;
  if (value !== 'off' && value !== 'no' && value !== 'false' && value !== 'n')
    refuse(`Parameter '${key}' expects 'on' or 'off'`);
  return false;
}

function parseNumber(key: string, value: string, refuse: (reason: string) => void): number {
  const [min, max] = NUMBERS[key]!;
  const isNumber = /^-?(0x[0-9a-f]+|\d+)$/i.test(value);
  if (!isNumber) refuse(`Parameter '${key}' expects ${key.endsWith('-id') ? 'int64' : 'uint64'}`);
  const number = value[0] === '-' ? -Number(value.slice(1)) : Number(value);
  if (number < min || number > max)
    refuse(`Property .${key} doesn't take value ${value} (minimum: ${min}, maximum: ${max})`);
  return number;
}

/** Takes away what is not implemented, one warning per feature bit. */
export function filterFeatures(
  wanted: FeatureSet,
  available: FeatureSet,
): { kept: FeatureSet; filtered: FeatureSet; warnings: string[] } {
  const kept = new FeatureSet();
  const filtered = new FeatureSet();
  const warnings: string[] = [];
  for (const word of FEATURE_WORDS) {
    const asked = wanted.word(word.name);
    const missing = asked & ~available.word(word.name);
    kept.setWord(word.name, asked & available.word(word.name));
    filtered.setWord(word.name, missing);
    for (let bit = 0; bit < 32; bit++)
      if ((missing >>> bit) & 1)
        warnings.push(`warning: TCG doesn't support requested feature: ${featureDescription(word, bit)}`);
  }
  return { kept, filtered, warnings };
}

/** AMD shows many bits of leaf 1 EDX again in leaf 0x80000001 EDX. */
const AMD_MIRRORED = 0x0183_f3ff;
function mirrorAmdBits(features: FeatureSet, vendor: string): void {
  if (vendor !== 'AuthenticAMD') return;
  const own = features.word('80000001.edx') & ~AMD_MIRRORED;
  features.setWord('80000001.edx', own | (features.word('1.edx') & AMD_MIRRORED));
}

/** Signature of leaf 1 EAX, which also stands in EDX after reset. */
export function cpuSignature({ family, model, stepping }: CpuDefinition): number {
  const base = Math.min(family, 15);
  const extended = family - base;
  return ((extended << 20) | ((model >>> 4) << 16) | (base << 8) | ((model & 15) << 4) | stepping) >>> 0;
}
