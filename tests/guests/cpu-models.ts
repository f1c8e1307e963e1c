/** CPU models as a Linux guest sees them: /proc/cpuinfo and /sys, glibc's levels, and programs that use what a model offers; beside
 *  QEMU's TCG with the same guest and the same `-cpu`, and the host CPU. */
import { spawnSync } from 'node:child_process';
import { engine, hasQemu, qemu } from '../support/machine.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import type { ModelsGuest } from './images.ts';

const LIMIT_MS = 300_000;

/** Flags that a guest sees here and not on TCG. */
const OURS_ALONE = {
  vme: 'TCG has no virtual-8086 mode extensions',
  pcid: 'TCG has no process-context identifiers',
  invpcid: 'comes with PCIDs',
  invpcid_single: "Linux's own flag for INVPCID",
  x2apic: "TCG's APIC has no x2APIC mode",
  tsc_deadline_timer: "TCG's APIC timer has no TSC deadline",
  rdseed: 'TCG has no RDSEED',
  sha_ni: 'TCG has no SHA',
} as const;
/** The reverse. */
const THEIRS_ALONE = {
  svm: 'no SVM here',
  npt: 'comes with SVM',
  vgif: 'comes with SVM',
  cr8_legacy: 'no CR8 by LOCK MOV CR0 here',
  sse4a: 'no SSE4a here',
  mpx: 'no MPX here',
  pku: 'no protection keys here',
  ospke: 'comes with protection keys',
  vaes: 'no VAES here',
  la57: 'four levels of page tables here',
} as const;
type Level = 'x86-64-v2' | 'x86-64-v3';

interface Model {
  /** Those of the x86-64 psABI that glibc searches libraries for. */
  readonly levels: readonly Level[];
  readonly oursAlone?: readonly (keyof typeof OURS_ALONE)[];
  readonly theirsAlone?: readonly (keyof typeof THEIRS_ALONE)[];
  /** Other lines of /proc/cpuinfo that differ, with what stands in ours and why. */
  readonly lines?: Readonly<Record<string, { readonly ours: string; readonly why: string }>>;
}
const V3: readonly Level[] = ['x86-64-v3', 'x86-64-v2'];
export const MODELS: Readonly<Record<string, Model>> = {
  qemu64: { levels: [], theirsAlone: ['svm'] },
  Nehalem: { levels: ['x86-64-v2'] },
  Haswell: { levels: V3, oursAlone: ['pcid', 'invpcid', 'invpcid_single', 'x2apic', 'tsc_deadline_timer'] },
  EPYC: { levels: V3, oursAlone: ['rdseed', 'sha_ni'], theirsAlone: ['svm', 'npt', 'cr8_legacy', 'sse4a'] },
  max: {
    levels: V3,
    oursAlone: Object.keys(OURS_ALONE) as (keyof typeof OURS_ALONE)[],
    theirsAlone: Object.keys(THEIRS_ALONE) as (keyof typeof THEIRS_ALONE)[],
    lines: { 'address sizes': { ours: '40 bits physical, 48 bits virtual', why: THEIRS_ALONE.la57 } },
  },
};

/** Measured by the guest: our TSC counts nanoseconds, TCG's is the host's. */
const RATES = ['cpu MHz', 'bogomips'];
const OUR_MHZ = 1000;
/** The flag behind a line of the program's, where its name is another. */
const FLAG_OF: Readonly<Record<string, string>> = { sha: 'sha_ni' };

/** What a guest tells, each as lines. */
interface Findings {
  readonly cpuinfo: ReadonlyMap<string, string>;
  readonly flags: readonly string[];
  readonly sys: readonly string[];
  readonly levels: readonly string[];
  readonly programs: readonly string[];
  readonly complaints: string;
}

const lines = (text: string) => text.trimEnd().split('\n');
const CPU = '/sys/devices/system/cpu';

async function look({ kernel, initrd }: ModelsGuest, model: string, program: string): Promise<Findings> {
  const options = ['-m', '256', '-cpu', model, '-kernel', kernel, '-initrd', initrd, '-append', QUIET];
  const machine = GuestConsole.start(options, program);
  const said = async (command: string) => (await machine.run(command, LIMIT_MS)).output;
  try {
    await machine.waitForShell(LIMIT_MS);
    const cpuinfo = new Map(
      lines(await said('cat /proc/cpuinfo')).map((line) => line.split(/\s*: ?/, 2) as [string, string]),
    );
    return {
      cpuinfo,
      flags: cpuinfo.get('flags')?.split(' ') ?? [],
      sys: lines(await said(`grep -rs . ${CPU}/cpu0/cache ${CPU}/cpu0/topology ${CPU}/vulnerabilities | sort`)),
      levels: lines(await said('/lib64/ld-linux-x86-64.so.2 --help'))
        .filter((line) => /x86-64-v\d .*supported, searched/.test(line))
        .map((line) => /x86-64-v\d/.exec(line)![0]),
      programs: lines(await said('features')),
      complaints: await said("dmesg | grep -E 'WARNING|Call Trace|BUG|CPUID mismatch|Firmware Bug'"),
    };
  } finally {
    await machine.stop();
  }
}

const onlyIn = (some: readonly string[], others: readonly string[]) => some.filter((each) => !others.includes(each));

/** Both in the same words, or a line for each way in which they are not. */
function unlike(what: string, ours: readonly string[], expected: readonly string[]): string[] {
  return [
    ...onlyIn(ours, expected).map((line) => `${what}: ours alone: ${line}`),
    ...onlyIn(expected, ours).map((line) => `${what}: missing in ours: ${line}`),
    ...(ours.length === expected.length ? [] : [`${what}: ${ours.length} lines, not ${expected.length}`]),
  ];
}

function besideQemu(model: Model, ours: Findings, theirs: Findings): string[] {
  const { oursAlone = [], theirsAlone = [], lines: others = {} } = model;
  const found: string[] = [];
  const isCommon = (flag: string) => ours.flags.includes(flag) && theirs.flags.includes(flag);
  found.push(...unlike('flags beyond TCG', onlyIn(ours.flags, theirs.flags), oursAlone));
  found.push(...unlike('flags of TCG alone', onlyIn(theirs.flags, ours.flags), theirsAlone));
  if (ours.flags.filter(isCommon).join(' ') !== theirs.flags.filter(isCommon).join(' '))
    found.push('flags: in another order');
  found.push(...unlike('/proc/cpuinfo', [...ours.cpuinfo.keys()], [...theirs.cpuinfo.keys()]));
  for (const [name, value] of theirs.cpuinfo) {
    if (name === 'flags' || RATES.includes(name)) continue;
    const mine = ours.cpuinfo.get(name);
    const known = others[name];
    if (known && value === known.ours) found.push(`${name}: no longer differs: ${value}`);
    if (mine !== (known?.ours ?? value)) found.push(`${name}: ours ${mine}, QEMU's ${value}`);
  }
  const isOursAlone = (line: string) => {
    const name = line.split(' ')[0]!;
    return (oursAlone as readonly string[]).includes(FLAG_OF[name] ?? name);
  };
  const shared = ({ programs }: Findings) => programs.filter((line) => !isOursAlone(line));
  found.push(...unlike('/sys', ours.sys, theirs.sys));
  found.push(...unlike('programs', shared(ours), shared(theirs)));
  found.push(...unlike("QEMU's levels", ours.levels, theirs.levels));
  return found;
}

/** What ran gave what it gives on the host CPU; what is not there ended in #UD, and no more is there than was asked for. */
function besideHost(ours: Findings, host: readonly string[]): string[] {
  return unlike(
    'programs beside the host CPU',
    ours.programs.map((line) => line.split(' ')[0]!),
    host.map((line) => line.split(' ')[0]!),
  ).concat(
    ours.programs
      .filter((line) => line.split(' ')[1] === 'yes')
      .flatMap((line) => {
        const name = line.split(' ')[0]!;
        const expected = host.find((each) => each.startsWith(`${name} `));
        // A host without the extension has nothing to say.
        return expected === line || expected?.startsWith(`${name} no`) ? [] : [`${line}: on the host CPU ${expected}`];
      }),
  );
}

/** Everything about a model that is not as it should be. */
export async function modelFaults(guest: ModelsGuest, name: string): Promise<string[]> {
  const model = MODELS[name]!;
  const host = spawnSync(guest.program, { encoding: 'utf8' });
  if (host.status !== 0) throw new Error(`${guest.program} ended with ${host.status ?? host.signal}: ${host.stderr}`);
  const ours = await look(guest, name, engine);
  const faults = [...unlike('levels', ours.levels, model.levels), ...besideHost(ours, lines(host.stdout))];
  if (ours.complaints !== '') faults.push(`the kernel complains: ${ours.complaints}`);
  for (const rate of RATES) {
    const expected = rate === 'bogomips' ? 2 * OUR_MHZ : OUR_MHZ;
    const value = Number(ours.cpuinfo.get(rate));
    if (!(Math.abs(value / expected - 1) < 0.05)) faults.push(`${rate}: ${value}, not about ${expected}`);
  }
  return hasQemu ? [...faults, ...besideQemu(model, ours, await look(guest, name, qemu))] : faults;
}
