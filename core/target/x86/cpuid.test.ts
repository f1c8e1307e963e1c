import { describe, expect, it } from 'vitest';
import { UserError } from '../../util/errors.ts';
import { cpuSignature, defineCpu, IMPLEMENTED_FEATURES, ONE_CPU, parseCpuOption } from './cpu-definition.ts';
import { cpuid } from './cpuid.ts';
import { FEATURE_WORDS, FeatureSet, featureNames, findFeature, recognizedFlags } from './features.ts';
import { CPU_MODEL_ALIASES, CPU_MODELS, cpuHelpLines, findCpuModel } from './models.ts';
import { QEMU_CPUID, QEMU_TCG_FEATURES } from './testing/cpuid-golden.ts';

const TCG = QEMU_TCG_FEATURES.split(' ');

describe('CPUID equals QEMU 7.2', () => {
  it.each(Object.keys(QEMU_CPUID))('for -cpu %s', (model) => {
    const { definition } = defineCpu(parseCpuOption(model), ONE_CPU, TCG);
    for (const [leaf, subleaf, ...registers] of QEMU_CPUID[model]!) {
      const got = cpuid(definition, leaf!, subleaf!);
      expect([leaf, subleaf, ...got].map((n) => n!.toString(16))).toEqual(
        [leaf, subleaf, ...registers].map((n) => n!.toString(16)),
      );
    }
  });

  it('EDX after reset is the signature', () => {
    expect(cpuSignature(defineCpu(parseCpuOption('qemu64')).definition)).toBe(0x60fb1);
    expect(cpuSignature(defineCpu(parseCpuOption('EPYC')).definition)).toBe(0x800f12);
  });

  it('shows cores, APIC and OSXSAVE state', () => {
    const { definition } = defineCpu(
      parseCpuOption('core2duo'),
      { apicId: 3, coresPerPackage: 2, threadsPerCore: 2 },
      TCG,
    );
    const [, ebx, ecx, edx] = cpuid(definition, 1, 0, { osxsave: true, xcr0: 7, ospke: false, apicEnabled: false });
    expect(ebx >>> 16).toBe(0x0304);
    expect((ecx >>> 27) & 1).toBe(1);
    expect((edx >>> 9) & 1).toBe(0);
    expect((edx >>> 28) & 1).toBe(1);
  });
});

describe('-cpu', () => {
  const define = (text: string, implemented: readonly string[] = TCG) =>
    defineCpu(parseCpuOption(text), ONE_CPU, implemented);

  it('switches features in every spelling', () => {
    expect(define('qemu64,-nx').definition.features.has('nx')).toBe(false);
    expect(define('qemu64,nx=off').definition.features.has('nx')).toBe(false);
    expect(define('qemu32,+lahf_lm').definition.features.has('lahf-lm')).toBe(true);
    expect(define('qemu32,sse4_1=on,popcnt').definition.features.names()).toEqual(
      expect.arrayContaining(['sse4.1', 'popcnt']),
    );
    expect(define('qemu64,hypervisor=off').definition.features.has('hypervisor')).toBe(false);
    expect(define('qemu64,-nx,nx=on').definition.features.has('nx')).toBe(false); // +/- come last
  });

  it('takes numbers, vendor and model id', () => {
    const { definition } = define('qemu64,family=6,model=0x1a,stepping=5,vendor=GenuineIntel,model-id=My CPU,level=4');
    expect(cpuSignature(definition)).toBe(0x106a5);
    expect(cpuid(definition, 0, 0)[0]).toBe(4);
    expect(definition.vendor).toBe('GenuineIntel');
  });

  it.each([
    ['foo', "unable to find CPU model 'foo'"],
    ['host', "CPU model 'host' requires KVM or HVF"],
    ['qemu64,foo', "can't apply global qemu64-x86_64-cpu.foo=on: Property 'qemu64-x86_64-cpu.foo' not found"],
    ['qemu64,+foo', "Property 'qemu64-x86_64-cpu.foo' not found"],
    [
      'qemu64,family=300',
      "can't apply global qemu64-x86_64-cpu.family=300: Property .family doesn't take value 300 (minimum: 0, maximum: 270)",
    ],
    ['qemu64,level=x', "can't apply global qemu64-x86_64-cpu.level=x: Parameter 'level' expects uint64"],
    ['qemu64,family=x', "can't apply global qemu64-x86_64-cpu.family=x: Parameter 'family' expects int64"],
    [
      'qemu64,stepping=0x10',
      "can't apply global qemu64-x86_64-cpu.stepping=0x10: Property .stepping doesn't take value 16 (minimum: 0, maximum: 15)",
    ],
    ['qemu64,level=-1', "can't apply global qemu64-x86_64-cpu.level=-1: Parameter 'level' expects uint32_t"],
    [
      'qemu64,level=99999999999999999999999',
      "can't apply global qemu64-x86_64-cpu.level=99999999999999999999999: Parameter 'level' expects uint64",
    ],
    ['qemu64,phys-bits=20', 'phys-bits should be between 32 and 52  (but is 20)'],
    ['qemu32,phys-bits=36', 'phys-bits is not user-configurable in 32 bit'],
    ['qemu64,core-id=5', "property core-id: 5 doesn't match set apic-id: 0x0 (core-id: 0)"],
    ['qemu64,node-id=-2', 'invalid node-id, must be 0'],
    ['pentium3,legacy-cache=off', "CPU model 'pentium3' doesn't support legacy-cache=off"],
    [
      'qemu32,migratable=off',
      "can't apply global qemu32-x86_64-cpu.migratable=off: Property 'qemu32-x86_64-cpu.migratable' not found",
    ],
    ['qemu64,vme=maybe', "can't apply global qemu64-x86_64-cpu.vme=maybe: Parameter 'vme' expects 'on' or 'off'"],
    [
      'qemu64,vendor=abc',
      "can't apply global qemu64-x86_64-cpu.vendor=abc: Property '.vendor' doesn't take value 'abc'",
    ],
  ])("%s is refused in QEMU's words", (text, message) => {
    expect(() => define(text)).toThrow(new UserError(message));
  });

  it('warns of what is not implemented, unless check=off', () => {
    expect(define('qemu64,+vme,+pcid').warnings).toEqual([
      "warning: TCG doesn't support requested feature: CPUID.01H:EDX.vme [bit 1]",
      "warning: TCG doesn't support requested feature: CPUID.01H:ECX.pcid [bit 17]",
    ]);
    expect(define('qemu64,+vme,check=off').warnings).toEqual([]);
    expect(define('qemu64').warnings).toEqual([]);
    const own = define('qemu64', IMPLEMENTED_FEATURES);
    expect(own.definition.features.has('sse')).toBe(IMPLEMENTED_FEATURES.includes('sse'));
    expect(own.definition.filtered.has('svm')).toBe(true);
  });

  it('enforce refuses and says why', () => {
    const { refusal, warnings } = define('qemu64,vme,enforce');
    expect(refusal).toEqual(new UserError("TCG doesn't support requested features"));
    expect(warnings).toEqual(["warning: TCG doesn't support requested feature: CPUID.01H:EDX.vme [bit 1]"]);
    expect(define('qemu64,enforce').refusal).toBeNull();
  });

  it('max has exactly what is implemented', () => {
    const { definition, warnings } = define('max', IMPLEMENTED_FEATURES);
    expect(definition.features.names().filter((name) => IMPLEMENTED_FEATURES.includes(name))).toHaveLength(
      IMPLEMENTED_FEATURES.length,
    );
    expect(warnings).toEqual([]);
  });
});

describe('the tables', () => {
  it('name every bit once and know it again', () => {
    for (const word of FEATURE_WORDS) {
      expect(word.bits.length).toBeLessThanOrEqual(32);
      for (const [bit, name] of word.bits.entries()) if (name) expect(findFeature(name)).toEqual({ word, bit });
    }
    expect(new Set(featureNames()).size).toBe(featureNames().length);
  });

  it('list as many flags as QEMU and take them all', () => {
    expect(recognizedFlags()).toHaveLength(321);
    for (const flag of recognizedFlags()) expect(() => defineCpu(parseCpuOption(`qemu64,+${flag}`))).not.toThrow();
  });

  it('models only ask for features that exist and aliases lead to models', () => {
    for (const model of CPU_MODELS.values())
      expect(() => FeatureSet.of(model.features.split(' ').filter(Boolean))).not.toThrow();
    for (const alias of Object.keys(CPU_MODEL_ALIASES)) expect(findCpuModel(alias)).toBeDefined();
    expect(cpuHelpLines()).toHaveLength(132);
    expect(findCpuModel('Haswell-noTSX')!.features.split(' ')).not.toContain('hle');
    expect(findCpuModel('Haswell-noTSX')!.stepping).toBe(1);
  });
});
