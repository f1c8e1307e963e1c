/** From `-cpu model,+feat,-feat,prop=value` to the CPU that the guest sees: model, properties, and features filtered by what
 *  is implemented, with QEMU's warnings and error texts. */
import { UserError } from '../../util/errors.ts';
import { FEATURE_WORDS, FeatureSet, featureDescription, findFeature, isFlagWithoutBit } from './features.ts';
import { type CpuModel, cpuTypeName, findCpuModel } from './models.ts';

/** What this CPU can do. */
export const IMPLEMENTED_FEATURES: readonly string[] = (
  'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush acpi mmx fxsr sse sse2 pni ssse3 sse4.1 sse4.2 ' +
  'aes pclmulqdq popcnt x2apic tsc-deadline ss monitor movbe rdrand hypervisor nx smep adx rdseed clflushopt clwb sha-ni syscall mmxext ' +
  'rdtscp lahf-lm abm arat lm cx16 pdpe1gb fsgsbase umip smap xsave xsaveopt xgetbv1 avx avx2 fma f16c bmi1 bmi2 3dnow 3dnowext pcid invpcid erms'
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

/** Numeric properties: how they are written, and their range. */
interface NumberProperty {
  readonly parsedAs: 'int64' | 'uint64';
  /** Type that the error names for a number outside of the range; without it the error tells the range. */
  readonly storedAs?: 'uint8_t' | 'uint32_t' | 'int32_t';
  readonly min: bigint;
  readonly max: bigint;
}
const UINT8: NumberProperty = { parsedAs: 'uint64', storedAs: 'uint8_t', min: 0n, max: 0xffn };
const UINT32: NumberProperty = { parsedAs: 'uint64', storedAs: 'uint32_t', min: 0n, max: 0xffff_ffffn };
const UINT64: NumberProperty = { parsedAs: 'uint64', min: 0n, max: (1n << 64n) - 1n };
const INT32: NumberProperty = { parsedAs: 'int64', storedAs: 'int32_t', min: -(1n << 31n), max: (1n << 31n) - 1n };
const ranged = (max: bigint): NumberProperty => ({ parsedAs: 'int64', min: 0n, max });
const NUMBERS: Readonly<Record<string, NumberProperty>> = {
  family: ranged(270n),
  model: ranged(255n),
  stepping: ranged(15n),
  'tsc-frequency': ranged((1n << 63n) - 1n),
  level: UINT32,
  xlevel: UINT32,
  xlevel2: UINT32,
  'min-level': UINT32,
  'min-xlevel': UINT32,
  'min-xlevel2': UINT32,
  'phys-bits': UINT32,
  'host-phys-bits-limit': UINT8,
  'hv-spinlocks': UINT32,
  'ucode-rev': UINT64,
  'apic-id': UINT32,
  'node-id': INT32,
  'socket-id': INT32,
  'die-id': INT32,
  'core-id': INT32,
  'thread-id': INT32,
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

/** Applies a request. Warnings are whole lines without the program's name; with `enforce` they are followed by a refusal.
 *  @throws UserError with QEMU's texts */
export function defineCpu(
  request: CpuRequest,
  topology: CpuTopology = ONE_CPU,
  implemented: Iterable<string> = IMPLEMENTED_FEATURES,
): { definition: CpuDefinition; warnings: string[]; refusal: UserError | null } {
  const { model } = request;
  const available = FeatureSet.of(implemented);
  const numbers = new Map<string, number>();
  const switches = new Map(Object.entries(SWITCHES));
  const hasOwnCaches = /^(EPYC|Dhyana)/.test(model.name);
  if (hasOwnCaches) switches.set('legacy-cache', false);
  let { vendor, modelId } = model;
  const features = model.name === 'max' ? available.copy() : FeatureSet.of(words(model.features));
  if (model.name !== 'base') features.set('hypervisor', true);

  for (const [key, value] of request.properties) {
    const refuse = (reason: string): never => {
      throw new UserError(`can't apply global ${cpuTypeName(request.name)}.${key}=${value}: ${reason}`);
    };
    if (findFeature(key)) features.set(key, parseSwitch(key, value, refuse));
    else if (key in SWITCHES && (key !== 'migratable' || model.name === 'max'))
      switches.set(key, parseSwitch(key, value, refuse));
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

  if (!switches.get('legacy-cache') && !hasOwnCaches)
    throw new UserError(`CPU model '${request.name}' doesn't support legacy-cache=off`);
  const { kept, filtered, warnings } = filterFeatures(features, available);
  mirrorAmdBits(kept, vendor);
  const refusal =
    switches.get('enforce') && warnings.length > 0 ? new UserError("TCG doesn't support requested features") : null;
  if (!refusal) checkNumbers(numbers, features.has('lm'), topology.apicId);

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
  return { definition, warnings: switches.get('check') || switches.get('enforce') ? warnings : [], refusal };
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

/** As C's strtoll with base 0: blanks in front, sign, hexadecimal, octal. */
function parseInteger(text: string): bigint | null {
  const match = /^\s*([+-]?)(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/i.exec(text);
  if (!match) return null;
  const digits = match[2]!;
  const size = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return match[1] === '-' ? -size : size;
}

function parseNumber(key: string, value: string, refuse: (reason: string) => never): number {
  const { parsedAs, storedAs, min, max } = NUMBERS[key]!;
  let number = parseInteger(value);
  const isTooLong =
    number !== null && (parsedAs === 'int64' ? BigInt.asIntN(64, number) !== number : number >= 1n << 64n);
  if (number === null || isTooLong) return refuse(`Parameter '${key}' expects ${parsedAs}`);
  if (parsedAs === 'uint64') number = BigInt.asUintN(64, number);
  if (number < min || number > max)
    refuse(
      storedAs
        ? `Parameter '${key}' expects ${storedAs}`
        : `Property .${key} doesn't take value ${number} (minimum: ${min}, maximum: ${max})`,
    );
  return Number(number);
}

/** Address width and position in the machine must be what they can be. */
function checkNumbers(numbers: ReadonlyMap<string, number>, isWide: boolean, apicId: number): void {
  const bits = numbers.get('phys-bits') ?? 0;
  if (bits !== 0 && !isWide) throw new UserError('phys-bits is not user-configurable in 32 bit');
  if (bits !== 0 && (bits < 32 || bits > 52))
    throw new UserError(`phys-bits should be between 32 and 52  (but is ${bits})`);
  for (const key of ['socket-id', 'die-id', 'core-id', 'thread-id']) {
    const id = numbers.get(key) ?? -1;
    if (id !== -1 && id !== 0)
      throw new UserError(
        `property ${key}: ${id >>> 0} doesn't match set apic-id: 0x${apicId.toString(16)} (${key}: 0)`,
      );
  }
  const node = numbers.get('node-id') ?? -1;
  if (node !== -1 && node !== 0) throw new UserError('invalid node-id, must be 0');
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
