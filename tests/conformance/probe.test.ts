/** The board as a guest finds it at reset: the same ROM makes the same port accesses here and in QEMU, and must print the
 *  same bytes. PCI configuration space, CMOS, fw_cfg, and every port that answers. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import { type PortAccess, reportingDevices, writeProbeRom } from '../support/guest-programs.ts';
import { engine, qemu, rescueCd } from '../support/machine.ts';

const BOARD = [
  ...['-accel', 'tcg', '-M', 'pc-i440fx-7.2', '-m', '128', '-display', 'none', '-nodefaults', '-vga', 'std'],
  ...['-rtc', 'base=2024-01-02T03:04:05,clock=vm', '-uuid', '00112233-4455-6677-8899-aabbccddeeff'],
  ...['-drive', `file=${rescueCd},if=none,media=cdrom,id=c0,readonly=on,format=raw`],
  ...['-device', 'ide-cd,bus=ide.1,unit=0,drive=c0'],
];
const FUNCTIONS = { '00.0': 0x0000, '01.0': 0x0800, '01.1': 0x0900, '01.3': 0x0b00, '02.0': 0x1000 };

async function probe(program: string, accesses: readonly PortAccess[], more: readonly string[] = []): Promise<Buffer> {
  const folder = scratchFolder();
  const [rom, output] = [join(folder, 'rom.bin'), join(folder, 'output')];
  writeProbeRom(rom, accesses);
  const args = [...BOARD, ...reportingDevices(output), '-bios', rom, ...more];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const exit = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  expect(exit, `${program} did not run the ROM to its end`).toBe(1);
  return readFileSync(output);
}

/** What both print, cut into one hexadecimal word per `width` bytes. */
async function both(accesses: readonly PortAccess[], width: number, more: readonly string[] = []) {
  const [ours, theirs] = await Promise.all([probe(engine, accesses, more), probe(qemu, accesses, more)]);
  const words = (bytes: Buffer) =>
    Array.from({ length: Math.ceil(bytes.length / width) }, (_, at) =>
      bytes.subarray(at * width, at * width + width).toString('hex'),
    );
  return { ours: words(ours), theirs: words(theirs), raw: { ours, theirs } };
}

const configRead = (address: number): PortAccess[] => [
  { out: 4, port: 0xcf8, value: 0x80000000 | address },
  { in: 4, port: 0xcfc },
];
const configWrite = (address: number, value: number): PortAccess[] => [
  { out: 4, port: 0xcf8, value: 0x80000000 | address },
  { out: 4, port: 0xcfc, value },
];

/** Of fw_cfg: big-endian count, then entries of 64 bytes; none of the boards here has as many. */
const DIRECTORY_BYTES = 4 + 40 * 64;
const select = (key: number): PortAccess => ({ out: 2, port: 0x510, value: key });
const fwCfg = (key: number, bytes: number): PortAccess[] => [select(key), { bytes, port: 0x511 }];
type Directory = ReturnType<typeof filesOf>;
/** Where each program had its files last: where it will have them again, as a rule. */
const lastDirectory = new Map<string, Directory>();
/** Read of a file whose size is not known before; beyond a file's end are zeroes. */
const GUESSED_BYTES = 6000;

/** What the accesses of `first` print, fw_cfg's directory, and files of it; absent ones are left out. As a rule in one run. */
async function readFiles(
  program: string,
  names: readonly string[],
  more: readonly string[] = [],
  first: { accesses: readonly PortAccess[]; bytes: number } = { accesses: [], bytes: 0 },
): Promise<{ printed: Buffer; directory: Directory; files: ReadonlyMap<string, Buffer> }> {
  const guess = lastDirectory.get(program);
  const wanted = names.map((name) => ({ name, entry: guess?.get(name) })).filter(({ entry }) => entry);
  const bytesOf = (size: number) => Math.max(size, GUESSED_BYTES);
  const output = await probe(
    program,
    [
      ...first.accesses,
      ...fwCfg(0x19, DIRECTORY_BYTES),
      ...wanted.flatMap(({ entry }) => fwCfg(entry!.select, bytesOf(entry!.size))),
    ],
    more,
  );
  const directory = filesOf(output.subarray(first.bytes));
  lastDirectory.set(program, directory);
  const files = new Map<string, Buffer>();
  let at = first.bytes + DIRECTORY_BYTES;
  for (const { name, entry } of wanted) {
    const is = directory.get(name);
    if (is?.select === entry!.select && is.size <= bytesOf(entry!.size))
      files.set(name, output.subarray(at, at + is.size));
    at += bytesOf(entry!.size);
  }
  // The rest, now that it is known where.
  const missing = names
    .filter((name) => directory.has(name) && !files.has(name))
    .map((name) => ({ name, ...directory.get(name)! }));
  if (missing.length > 0) {
    const rest = await probe(
      program,
      missing.flatMap((file) => fwCfg(file.select, file.size)),
      more,
    );
    let from = 0;
    for (const { name, size } of missing) {
      files.set(name, rest.subarray(from, from + size));
      from += size;
    }
  }
  return { printed: output.subarray(0, first.bytes), directory, files };
}

/** All below 4 GiB, the first with some above it, and near the most that there can be. */
const LARGE_MEMORIES = ['3G', '3583M', '3584M', '3900M'];
/** A limit above what there is, one that is lowered to 3 GiB, one that stays. */
const LOW_LIMITS = ['3300M', '2900M', '1G'].map((limit) => ['-m', '3100M', '-M', `max-ram-below-4g=${limit}`]);

/** One run for all functions: what each printed. */
async function ofFunctions(accesses: (base: number) => PortAccess[], width: number) {
  const { ours, theirs } = await both(Object.values(FUNCTIONS).flatMap(accesses), width);
  const count = ours.length / Object.keys(FUNCTIONS).length;
  const named = (words: string[]) => words.map((word, index) => `${(index * 4).toString(16)}: ${word}`);
  return Object.keys(FUNCTIONS).map((name, i) => {
    const [from, to] = [i * count, (i + 1) * count];
    return { name, ours: named(ours.slice(from, to)), theirs: named(theirs.slice(from, to)) };
  });
}

describe('at reset, as in QEMU', () => {
  it('PCI configuration space', async () => {
    const registers = Array.from({ length: 64 }, (_, index) => index * 4);
    const all = await ofFunctions((base) => registers.flatMap((register) => configRead(base + register)), 4);
    for (const { name, ours, theirs } of all) {
      expect(theirs).toHaveLength(64);
      expect(ours, name).toEqual(theirs);
    }
  });

  it('what sticks of ones and zeroes in the headers there', async () => {
    const registers = Array.from({ length: 16 }, (_, index) => index * 4);
    const all = await ofFunctions(
      (base) =>
        registers.flatMap((register) => [
          // Not the command register's enabling bits: decoding would move regions meanwhile.
          ...configWrite(base + register, register === 4 ? 0xfffffff8 : 0xffffffff),
          ...configRead(base + register),
          ...configWrite(base + register, 0),
          ...configRead(base + register),
        ]),
      8,
    );
    for (const { name, ours, theirs } of all) {
      expect(theirs).toHaveLength(16);
      expect(ours, name).toEqual(theirs);
    }
  });

  it('functions that are not there, and register numbers beyond', async () => {
    const addresses = [0x0a00, 0x1800, 0xf800, 0x10000, 0xfff8fc];
    const { ours, theirs } = await both(addresses.flatMap(configRead), 4);
    expect(ours).toEqual(theirs);
  });

  it.each([[[]], [['-boot', 'order=dc,menu=on']], ...LARGE_MEMORIES.map((size) => [['-m', size]])])(
    'CMOS, with %j',
    async (more) => {
      // Register C's periodic flag rises with time here, as on the chip; in QEMU only while its interrupt is enabled.
      const registers = Array.from({ length: 128 }, (_, index) => index).filter((index) => index !== 0x0c);
      const accesses = registers.map((index): PortAccess[] => [
        { out: 1, port: 0x70, value: index },
        { in: 1, port: 0x71 },
      ]);
      const { ours, theirs } = await both(accesses.flat(), 1, more);
      const named = (words: string[]) => words.map((word, at) => `${registers[at]!.toString(16)}: ${word}`);
      expect(named(ours)).toEqual(named(theirs));
    },
  );

  it('every port that answers with other than ones', async () => {
    const skipped = new Set([0xcfc, 0xcfd, 0xcfe, 0xcff, 0x501, 0x502, 0x503, 0x504, 0xe9]);
    // Counters, and what follows them: the bytes depend on the moment.
    for (const port of [0x20, 0x40, 0x41, 0x42, 0x61, 0x3ba]) skipped.add(port);
    skipped.add(0x3c6); // the palette's mask can be read here, as on the card
    for (const [first, last] of NOT_YET_PORTS) for (let port = first; port <= last; port++) skipped.add(port);
    const ports = Array.from({ length: 0xc000 }, (_, port) => port).filter((port) => !skipped.has(port));
    const found = { ours: [] as string[], theirs: [] as string[] };
    for (let at = 0; at < ports.length; at += 9000) {
      const part = ports.slice(at, at + 9000);
      const { ours, theirs } = await both(
        part.map((port) => ({ in: 1, port })),
        1,
      );
      const answering = (words: string[]) =>
        words.flatMap((word, index) => (word === 'ff' ? [] : [`${part[index]!.toString(16)}: ${word}`]));
      found.ours.push(...answering(ours));
      found.theirs.push(...answering(theirs));
    }
    expect(found.ours).toEqual(found.theirs);
  });
});

describe('fw_cfg', () => {
  it('signature, features and numbers', async () => {
    const numbers = { 0: 4, 1: 4, 2: 16, 3: 8, 4: 2, 5: 2, 6: 2, 13: 4, 14: 2, 15: 2, 32770: 4 };
    const accesses = Object.entries(numbers).flatMap(([key, bytes]) => fwCfg(Number(key), bytes));
    const { ours, theirs } = await both(accesses, 1);
    expect(ours).toEqual(theirs);
  });

  it.each([...LARGE_MEMORIES.map((size) => ['-m', size]), ...LOW_LIMITS].map((args) => [args]))(
    'the size of memory and its map with %j',
    async (more) => {
      const look = async (program: string) => {
        const size = { accesses: fwCfg(3, 8), bytes: 8 };
        const { printed, files } = await readFiles(program, ['etc/e820'], more, size);
        return { size: printed.toString('hex'), map: files.get('etc/e820')!.toString('hex') };
      };
      const [ours, theirs] = await Promise.all([look(engine), look(qemu)]);
      expect(ours).toEqual(theirs);
    },
  );

  it('the files that both have, byte for byte', async () => {
    const look = async (program: string) => {
      const { directory } = await readFiles(program, []);
      const names = [...directory]
        .filter(([name, { size }]) => size > 0 && !name.startsWith('genroms/'))
        .map(([name]) => name);
      return readFiles(program, names);
    };
    const [ours, theirs] = await Promise.all([look(engine), look(qemu)]);
    const missing = [...theirs.directory.keys()].filter((name) => !ours.directory.has(name));
    expect(missing.sort()).toEqual(NOT_YET);
    expect([...ours.directory.keys()].filter((name) => !theirs.directory.has(name))).toEqual([]);
    for (const [name, { size }] of ours.directory)
      expect({ name, size }).toEqual({ name, size: theirs.directory.get(name)!.size });
    expect(ours.files.size).toBeGreaterThan(5);
    for (const [name, bytes] of ours.files) {
      const [mine, wanted] = [bytes, theirs.files.get(name)!].map((each) => ({ name, bytes: each.toString('hex') }));
      if (DIFFERENT.has(name)) expect(mine, 'it is as in QEMU now: take it off the list').not.toEqual(wanted);
      else expect(mine).toEqual(wanted);
    }
  });
});

describe('ACPI tables', () => {
  it.each(['x-oem-id=ABCDEF,x-oem-table-id=GHIJKLMN', 'x-oem-id=A,x-oem-table-id=é'])(
    'whose they are with %s',
    async (names) => {
      const headers = async (program: string) => {
        const { files } = await readFiles(program, ['etc/acpi/tables', 'etc/acpi/rsdp'], ['-M', names]);
        const text = (name: string) => files.get(name)!.toString('latin1');
        const tables = [...text('etc/acpi/tables').matchAll(/(\w{4})....[\s\S].([\s\S]{14})[\s\S]{4}BXPC/gs)];
        return [text('etc/acpi/rsdp').slice(0, 16), ...tables.map((match) => match.slice(1))];
      };
      const [ours, theirs] = await Promise.all([headers(engine), headers(qemu)]);
      expect(theirs.length).toBeGreaterThan(5);
      expect(ours).toEqual(theirs);
    },
  );
});

describe('parts left out', () => {
  it.each([[[]], [['-no-hpet']], [['-no-acpi']]])('what the firmware finds, with %j', async (more) => {
    const ports: PortAccess[] = [0xb2, 0xb3, 0xafe0, 0xafe2, 0xb100, 0xb104].map((port) => ({ in: 1, port }));
    const HPET_BYTES = 121;
    const first = {
      accesses: [...configRead(0x0b00), ...ports, ...fwCfg(0x8004, HPET_BYTES)],
      bytes: 4 + ports.length + HPET_BYTES,
    };
    const look = async (program: string) => {
      const { printed, directory, files } = await readFiles(program, ['etc/acpi/tables'], more, first);
      const block = files.get('etc/acpi/tables')?.toString('latin1') ?? '';
      return {
        files: [...directory.keys()].filter((name) => !NOT_YET.includes(name)),
        tables: [...block.matchAll(/(\w{4})......BOCHS BXPC/gs)].map((match) => match[1]),
        hpet: printed.subarray(-HPET_BYTES).toString('hex'),
        hasHpetDevice: block.includes('HPTM'),
        ports: printed.subarray(0, -HPET_BYTES).toString('hex'),
      };
    };
    const [ours, theirs] = await Promise.all([look(engine), look(qemu)]);
    expect(ours).toEqual(theirs);
  });
});

/** A structure of SMBIOS as in a file: header, fields, texts. */
const smbiosStructure = (type: number, fields: readonly number[], ...texts: readonly string[]) =>
  Buffer.concat([
    Buffer.from([type, fields.length + 4, 0x99, 0, ...fields]),
    Buffer.from(texts.length > 0 ? texts.map((text) => `${text}\0`).join('') : '\0'),
    Buffer.of(0),
  ]);

describe('SMBIOS', () => {
  /** Named `@NAME` in the command lines below. */
  const files = {
    system: smbiosStructure(1, [1, ...Array<number>(22).fill(0)], 'from a file'),
    array: smbiosStructure(16, Array<number>(19).fill(0)),
    end: smbiosStructure(127, []),
    two: Buffer.concat([smbiosStructure(200, [1, 2, 3, ...Array<number>(90).fill(9)]), smbiosStructure(201, [])]),
    large: smbiosStructure(202, [1], ...Array.from({ length: 700 }, (_, i) => `${i}`.repeat(20))),
    oem: Buffer.from('a line\nand\tanother\n'),
    empty: Buffer.of(),
  };
  const one = (...values: readonly string[]) => values.flatMap((value) => ['-smbios', value]);
  const cases = [
    ['-m', '3G'],
    one('type=0', 'type=1', 'type=2', 'type=3', 'type=4', 'type=8', 'type=11', 'type=17', 'type=41'),
    one(
      'type=0,vendor=V,version=,date=01/02/2003,release=3.7,uefi=on',
      'type=1,manufacturer=Me,product=It,version=2,serial=é☃,uuid=00112233-4455-6677-8899-AABBCCDDEEFF,sku=K,family=F',
      'type=2,manufacturer=M,product=P,version=V,serial=S,asset=A,location=L',
      'type=3,manufacturer=M,version=V,serial=S,asset=A,sku=K',
      'type=4,sock_pfx=Socket,manufacturer=M,version=V,serial=S,asset=A,part=P,max-speed=5000,current-speed=010',
      'type=8,external_reference=E,internal_reference=I,connector_type=3,port_type=9',
      'type=11,value=a,path=@oem,value=',
      'type=17,loc_pfx=D,bank=B,manufacturer=M,serial=S,asset=A,part=P,speed=70000',
      'type=41,designation=On board,kind=video,instance=258',
    ),
    // What a second option of the same type leaves of the first.
    [
      ...one('type=0,uefi=on,release=300.-1,vendor=v', 'type=0,version=w'),
      ...one('type=1,manufacturer=,version=,uuid=00112233-4455-6677-8899-aabbccddeeff'),
      ...['-uuid', '11111111-2222-3333-4444-555555555555'],
      ...one('type=1,serial=a,family=q', 'type=1,serial=b'),
      ...one('type=4,max-speed=5,current-speed=6,processor-id=7,serial=a', 'type=4,part=p'),
      ...one('type=8,internal_reference=i', 'type=8,connector_type=300'),
      ...one('type=11,value=a', 'type=11,value=b,,c', 'type=11,path=@empty'),
      ...one('type=17,speed=5', 'type=17,bank=n', 'type=41,kind=sata', 'type=41,instance=2'),
    ],
    [...one('type=4,processor-id=-1,serial=s'), '-smp', '1,maxcpus=8,sockets=2,cores=2,threads=2'],
    [...one('type=41,designation=D,kind=video,pcidev=v'), '-device', 'secondary-vga,id=v,addr=5'],
    one('file=@system', 'file=@two', 'type=3,serial=s', 'file=@system'),
    one('file=@array', 'file=@end', 'file=@large'),
    ['-M', 'smbios-entry-point-type=64', ...one('file=@large', 'file=@large')],
  ];
  it.each(cases.map((args) => [args]))('tables and entry point, and the UUID, with %j', async (args) => {
    const folder = scratchFolder();
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const more = args.map((word) => word.replaceAll(/@(\w+)/g, (_, name) => join(folder, name)));
    const names = ['etc/smbios/smbios-anchor', 'etc/smbios/smbios-tables'];
    const answers = async (program: string) => {
      const { printed, files } = await readFiles(program, names, more, { accesses: fwCfg(2, 16), bytes: 16 });
      return [printed, ...names.map((name) => files.get(name)!)].map((bytes) => bytes.toString('latin1')).join('');
    };
    const [ours, theirs] = await Promise.all([answers(engine), answers(qemu)]);
    expect(theirs).toMatch(/_SM3?_/);
    expect(ours).toBe(theirs);
  });
});

/** Files of QEMU's that this board has not got yet; two of them are empty. */
const NOT_YET = ['bios-geometry', 'etc/tpm/log', 'genroms/kvmvapic.bin'];
/** The DSDT leaves out hot-plug, and so is shorter (core/machines/acpi holds the rest to QEMU's bytes). */
const DIFFERENT = new Set(['etc/acpi/rsdp', 'etc/acpi/tables', 'etc/table-loader']);
/** The floppy controller, ACPI hotplug of PCI and processors. */
const NOT_YET_PORTS = [
  [0x3f1, 0x3f5],
  [0x3f7, 0x3f7],
  [0xae00, 0xae17],
  [0xaf00, 0xaf1f],
] as const;

function filesOf(bytes: Buffer): Map<string, { size: number; select: number }> {
  const files = new Map<string, { size: number; select: number }>();
  for (let index = 0; index < bytes.readUInt32BE(0); index++) {
    const entry = bytes.subarray(4 + index * 64, 4 + index * 64 + 64);
    const name = entry.toString('latin1', 8).replace(/\0.*$/s, '');
    files.set(name, { size: entry.readUInt32BE(0), select: entry.readUInt16BE(4) });
  }
  return files;
}
