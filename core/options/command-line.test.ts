import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../util/errors.ts';
import { type CommandLineHost, type ParsedCommandLine, parseCommandLine } from './command-line.ts';
import { DriveFormatHelp, DriveTable } from './drive-options.ts';
import { errorText, withLocation } from './location.ts';
import { parseBoot } from './machine-boot.ts';
import { parseSmp } from './machine-smp.ts';
import { OPTION_TABLE } from './option-table.ts';
import { escapeValue } from './qemu-opts.ts';

interface Line {
  readonly what: string;
  readonly args: string[];
  readonly exit: number | null;
  readonly stderr: string;
  readonly decidedBy: 'parsing' | 'refused' | 'machine' | 'later';
}
const data: { files: Record<string, string>; lines: Line[] } = JSON.parse(
  readFileSync(new URL('../../tests/conformance/cli-errors.json', import.meta.url), 'utf8'),
);

const PC = { machine: 'pc-i440fx-7.2', minCpus: 1, maxCpus: 255, diesSupported: true, clustersSupported: false };

function host(warnings: string[] = [], files: Record<string, string> = {}): CommandLineHost {
  return {
    program: 'PROGRAM',
    version: '1.2.3',
    readFile: (path) =>
      Object.hasOwn(files, path)
        ? { bytes: new TextEncoder().encode(files[path]) }
        : { error: 'No such file or directory' },
    warn: (line) => warnings.push(line),
  };
}

/** Runs what parsing alone decides, as the program would: stderr and exit code (null: it would go on). */
function run(args: readonly string[]): { stderr: string; exit: number | null } {
  const warnings: string[] = [];
  const said = (): string => warnings.map((line) => `${line}\n`).join('');
  try {
    const parsed = parseCommandLine(args, host(warnings, data.files));
    if (parsed.kind !== 'run') return { stderr: said(), exit: parsed.kind === 'answer' ? parsed.exitCode : 0 };
    const table = new DriveTable('ide');
    for (const drive of parsed.drives) withLocation(drive.location, () => table.resolve(drive));
    parseSmp(parsed.smp, PC, (text) => warnings.push(`PROGRAM: warning: ${text}`));
    parseBoot(parsed.boot);
    return { stderr: said(), exit: null };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { stderr: said() + errorText('PROGRAM', error), exit: 1 };
  }
}

function parse(...args: string[]): ParsedCommandLine {
  const parsed = parseCommandLine(args, host([], data.files));
  if (parsed.kind !== 'run') throw new Error(`answered instead of parsed: ${args.join(' ')}`);
  return parsed;
}

describe('command lines of the conformance list', () => {
  for (const line of data.lines.filter((each) => each.decidedBy === 'parsing' || each.decidedBy === 'refused')) {
    it(`${line.args.join(' ')} (${line.what})`, () => {
      expect(run(line.args)).toEqual({ stderr: line.stderr, exit: line.exit });
    });
  }
  it('takes what QEMU takes when nothing but the machine could object', () => {
    const accepted = data.lines.filter((line) => line.decidedBy === 'machine' && line.exit === null);
    expect(accepted.length).toBeGreaterThan(20);
    for (const line of accepted)
      expect({ args: line.args, exit: run(line.args).exit }).toEqual({ args: line.args, exit: null });
  });
});

describe('parseCommandLine', () => {
  it('reads the split form of a CD-ROM', () => {
    const parsed = parse(
      '-drive',
      'file=/a,,b.iso,if=none,media=cdrom,id=drive-sata0-0-0,readonly=on',
      '-device',
      'ide-cd,bus=ide.0,drive=drive-sata0-0-0,id=sata0-0-0',
    );
    expect(new DriveTable('ide').resolve(parsed.drives[0]!)).toMatchObject({
      id: 'drive-sata0-0-0',
      interface: 'none',
      media: 'cdrom',
      file: '/a,b.iso',
      readOnly: true,
    });
    expect(parsed.devices[0]).toMatchObject({
      driver: 'ide-cd',
      id: 'sata0-0-0',
      bus: 'ide.0',
      properties: [['drive', 'drive-sata0-0-0']],
    });
    expect(parsed.defaults.cdrom).toBe(false);
  });

  it('turns -hda, -cdrom and a bare image into drives with QEMU’s names', () => {
    const table = new DriveTable('ide');
    const drives = parse('-cdrom', 'c', '-hdb', 'b', 'a').drives.map((opts) => table.resolve(opts));
    expect(drives.map(({ id, bus, unit, file }) => ({ id, bus, unit, file }))).toEqual([
      { id: 'ide1-cd0', bus: 1, unit: 0, file: 'c' },
      { id: 'ide0-hd1', bus: 0, unit: 1, file: 'b' },
      { id: 'ide0-hd0', bus: 0, unit: 0, file: 'a' },
    ]);
  });

  it('keeps any file name that was escaped', () => {
    const name = '/tmp/a,,b=c,d,';
    const drive = parse('-drive', `file=${escapeValue(name)},if=none`).drives[0]!;
    expect(drive.get('file')).toBe(name);
  });

  it('makes character devices and monitors of the older spellings', () => {
    const parsed = parse(
      '-qmp',
      'unix:/x/q,server=on,wait=off',
      '-serial',
      'mon:stdio',
      '-serial',
      'tcp::4444,server=on',
    );
    expect(parsed.chardevs.map((each) => [each.value.id, each.value.backend.type, each.value.mux])).toEqual([
      ['compat_monitor0', 'socket', false],
      ['serial0', 'stdio', true],
      ['serial1', 'socket', false],
    ]);
    expect(parsed.chardevs[0]!.value.backend).toMatchObject({
      address: { kind: 'unix', path: '/x/q' },
      server: true,
      wait: false,
    });
    expect(parsed.chardevs[2]!.value.backend).toMatchObject({
      address: { kind: 'inet', host: '', port: '4444' },
      wait: true,
    });
    expect(parsed.monitors.map((each) => [each.chardev, each.mode])).toEqual([
      ['compat_monitor0', 'control'],
      ['serial0', 'readline'],
    ]);
  });

  it('connects serial port and monitor as QEMU does when nothing is said', () => {
    expect(parse().chardevs.map((each) => [each.value.id, each.value.backend.type])).toEqual([
      ['compat_monitor0', 'vc'],
      ['serial0', 'vc'],
    ]);
    expect(parse('-nodefaults').chardevs).toEqual([]);
    expect(parse('-nographic').monitors).toMatchObject([{ chardev: 'serial0', mode: 'readline' }]);
    expect(parse('-nographic', '-serial', 'none').chardevs.map((each) => each.value.backend.type)).toEqual(['stdio']);
  });

  it('reads sizes and topologies', () => {
    expect(parse('-m', '256').memoryBytes).toBe(256 << 20);
    expect(parse('-m', '1.5G').memoryBytes).toBe(1.5 * 2 ** 30);
    expect(parse('-m', 'size=0x40000000k').memoryBytes).toBe(2 ** 40);
    expect(parse('-m', '0').memoryBytes).toBeUndefined();
    expect(parseSmp(parse('-smp', '8,sockets=2').smp, PC, () => {})).toMatchObject({
      sockets: 2,
      cores: 4,
      threads: 1,
    });
    expect(parseSmp(parse('-smp', 'cores=2,threads=2').smp, PC, () => {})).toMatchObject({ cpus: 4, maxCpus: 4 });
  });

  it('reads a config file in place', () => {
    const files = { c: '[drive "d"]\n  file = "x"\n# comment\n\n[machine]\n  type = "pc"\n  hpet = "off"\n' };
    const parsed = parseCommandLine(['-M', 'hpet=on', '-readconfig', 'c'], host([], files));
    expect(parsed).toMatchObject({ kind: 'run', machine: { type: 'pc', properties: [['hpet', 'off']] } });
    if (parsed.kind === 'run') expect(parsed.drives[0]!.location).toEqual({ kind: 'file', file: 'c', line: 2 });
  });

  it('reports config file mistakes with file and line', () => {
    const report = (text: string): string => {
      try {
        parseCommandLine(['-readconfig', 'c'], host([], { c: text }));
      } catch (error) {
        return errorText('P', error as UserError);
      }
      return '';
    };
    expect(report('a = "b"\n')).toBe('P:c:1: no group defined\n');
    expect(report('[drive]\njunk\n')).toBe('P:c:2: parse error\n');
    expect(report('[rtc]\n\n  nosuch = "1"\n')).toBe("P:c:3: Invalid parameter 'nosuch'\n");
    expect(report('[numa]\n  a = "1"\n')).toBe("P:c:2: option group 'numa': not supported yet\n");
    expect(report('[smbios]\n  type = "1"\n')).toBe("P:c:2: option group 'smbios': not supported yet, use -smbios\n");
  });

  it('reads the user’s files unless told not to', () => {
    const withUser: CommandLineHost = {
      ...host([], { u: '[name]\n guest = "from-file"\n' }),
      userConfigFiles: ['missing', 'u'],
    };
    const named = (args: string[]): unknown => {
      const parsed = parseCommandLine(args, withUser);
      return parsed.kind === 'run' && parsed.name;
    };
    expect(named([])).toBe('from-file');
    expect(named(['-name', 'mine'])).toBe('mine');
    expect(named(['-S', '-no-user-config'])).toBe(undefined);
  });

  it('asks for help on behalf of the registry', () => {
    const help = (...args: string[]): unknown => parseCommandLine(args, host());
    expect(help('-device', 'ide-cd,help')).toMatchObject({
      kind: 'help',
      topic: 'device-properties',
      subject: 'ide-cd',
    });
    expect(help('-device', '?')).toMatchObject({ kind: 'help', topic: 'device' });
    expect(help('-M', 'help')).toMatchObject({ kind: 'help', topic: 'machine' });
    expect(help('-M', 'pc,help')).toMatchObject({ kind: 'help', topic: 'machine-properties', subject: 'pc' });
    expect(help('-cpu', 'help')).toMatchObject({ kind: 'help', topic: 'cpu' });
    expect(help('-accel', 'help')).toMatchObject({ kind: 'help', topic: 'accel' });
    expect(help('-rtc', 'help')).toEqual({
      kind: 'answer',
      stdout: 'rtc options:\n  base=<str>\n  clock=<str>\n  driftfix=<str>\n',
      exitCode: 1,
    });
    expect(help('-smp', 'help')).toMatchObject({ kind: 'answer', exitCode: 0 });
    expect(() => new DriveTable('ide').resolve(parse('-drive', 'format=help').drives[0]!)).toThrow(DriveFormatHelp);
  });

  it('prints a help text that names every supported option and no other', () => {
    const result = parseCommandLine(['-nodefaults', '--help'], host());
    const text = result.kind === 'answer' ? result.stdout : '';
    for (const entry of OPTION_TABLE) {
      const shown = new RegExp(`^(--?\\w+/| or )?-${entry.name}\\b`, 'm').test(text);
      if (entry.supported && entry.section) expect(`${entry.name} ${shown}`).toBe(`${entry.name} true`);
      if (!entry.supported) expect(`${entry.name} ${shown}`).toBe(`${entry.name} false`);
    }
  });

  it('treats names like __proto__ as any other', () => {
    expect(run(['-M', '__proto__=x']).exit).toBe(null);
    expect(parse('-M', '__proto__.a=x').machine.properties).toEqual([['__proto__.a', 'x']]);
    expect(run(['-drive', 'cache=__proto__']).stderr).toContain('invalid cache option');
    expect(run(['-vga', 'constructor']).stderr).toContain('unknown vga type');
    expect(run(['-set', 'toString.a.b=c']).stderr).toContain("There is no option group 'toString'");
  });

  it('applies -set to what was given before', () => {
    expect(parse('-device', 'VGA,id=v', '-set', 'device.v.vgamem_mb=32').devices[0]!.properties).toEqual([
      ['vgamem_mb', '32'],
    ]);
  });
});
