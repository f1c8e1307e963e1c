/** Held to QEMU 7.2's files: what is not its hot-plug, floppy and parallel port must be there byte for byte. */
import { describe, expect, it } from 'vitest';
import golden from '../../../tests/fixtures/qemu-7.2/firmware/default-cdrom.json' with { type: 'json' };
import { NO_SMBIOS } from '../../options/smbios-options.ts';
import { smbiosFiles } from '../smbios.ts';
import { le } from './aml.ts';
import { type AcpiContents, acpiFiles, OEM_ID, OEM_TABLE_ID } from './tables.ts';

const bytesOf = (lines: readonly string[]) => new Uint8Array(Buffer.from(lines.join(''), 'hex'));
const CONTENTS: AcpiContents = {
  lowRamEnd: 128 << 20,
  highRamBytes: 0,
  hasHpet: true,
  hasApic: true,
  cpus: 1,
  serials: [{ number: 1, iobase: 0x3f8, irq: 4 }],
  hasKeyboard: true,
  hasS3: true,
  s4Type: 2,
  vgaSlot: 2,
  pmBase: 0,
  hpetBlockId: 0x8086_a201,
  oemId: OEM_ID,
  oemTableId: OEM_TABLE_ID,
};

/** Tables of a block by signature; FACS has none of the usual header but its length. */
function tablesOf(block: Uint8Array): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  for (let at = 0; at + 8 <= block.length && block[at] !== 0; ) {
    const bytes = view.getUint32(at + 4, true);
    found.set(String.fromCharCode(...block.subarray(at, at + 4)), block.subarray(at, at + bytes));
    at += bytes;
  }
  return found;
}

const EXT = 0x5b;
const DEVICE = 0x82;
const PROCESSOR = 0x83;
/** What lies directly in the scopes and devices of a definition block: path, and the bytes of the object. */
function objectsOf(code: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  const skipName = (at: number): number => {
    let next = code[at] === 0x5c ? at + 1 : at;
    if (code[next] === 0x2e) next += 9;
    else if (code[next] === 0x2f) next += 2 + 4 * code[next + 1]!;
    else next += code[next] === 0 ? 1 : 4;
    return next;
  };
  const nameAt = (at: number) =>
    String.fromCharCode(...code.subarray(at, skipName(at)).filter((c) => c > 0x2f || c === 0x5c)).replaceAll('\0', '');
  const lengthAt = (at: number): readonly [number, number] => {
    const following = code[at]! >> 6;
    if (following === 0) return [code[at]! & 63, 1];
    let value = code[at]! & 15;
    for (let i = 0; i < following; i++) value += code[at + 1 + i]! * 2 ** (4 + 8 * i);
    return [value, 1 + following];
  };
  const dataEnd = (at: number): number => {
    const fixed = new Map([
      [0, 1],
      [1, 1],
      [0x0a, 2],
      [0x0b, 3],
      [0x0c, 5],
      [0x0e, 9],
    ]).get(code[at]!);
    if (fixed !== undefined) return at + fixed;
    if (code[at] === 0x0d) return code.indexOf(0, at) + 1;
    if (code[at] === 0x11 || code[at] === 0x12) return at + 1 + lengthAt(at + 1)[0];
    throw new Error(`what is 0x${code[at]?.toString(16)} at ${at}?`);
  };
  const walk = (from: number, to: number, path: string): void => {
    for (let at = from; at < to; ) {
      const start = at;
      const isExt = code[at] === EXT;
      const op = isExt ? 0x5b00 | code[at + 1]! : code[at]!;
      at += isExt ? 2 : 1;
      const add = (name: string, end: number) => {
        found.set(`${path}/${name}`, Buffer.from(code.subarray(start, end)).toString('hex'));
        at = end;
      };
      if (op === 0x08) add(nameAt(at), dataEnd(skipName(at)));
      else if (op === 0x5b01) add(nameAt(at), skipName(at) + 1);
      else if (op === 0x5b80) add(`region ${nameAt(at)}`, dataEnd(dataEnd(skipName(at) + 1)));
      else {
        const [bytes, own] = lengthAt(at);
        const name = nameAt(at + own);
        const end = at + bytes;
        const isScope = op === 0x10 || op === (0x5b00 | DEVICE) || op === (0x5b00 | PROCESSOR);
        if (!isScope) add(op === 0x5b81 ? `field ${name} ${found.size}` : name, end);
        else {
          const inside = skipName(at + own) + (op === (0x5b00 | PROCESSOR) ? 6 : 0);
          walk(inside, end, name.startsWith('\\') ? name : `${path}/${name}`);
          at = end;
        }
      }
    }
  };
  walk(36, code.length, '');
  return found;
}

const ours = tablesOf(acpiFiles(CONTENTS).tables);
const theirs = tablesOf(bytesOf(golden['etc/acpi/tables']));

describe('ACPI tables', () => {
  it('are the ones that QEMU has', () => expect([...ours.keys()]).toEqual([...theirs.keys()]));
  it.each(['FACS', 'FACP', 'APIC', 'HPET', 'WAET'])('%s is QEMU’s, byte for byte', (signature) => {
    const [a, b] = [ours.get(signature)!, theirs.get(signature)!];
    expect(Buffer.from(a).toString('hex')).toBe(Buffer.from(b).toString('hex'));
  });

  it('DSDT: every object is QEMU’s; what QEMU has besides is known', () => {
    const mine = objectsOf(ours.get('DSDT')!);
    const golden = objectsOf(theirs.get('DSDT')!);
    const key = (path: string) => path.replace(/ \d+$/, '');
    const all = new Map([...golden].map(([path, bytes]) => [key(path), bytes]));
    // Fields of one region have one name in this list: compare as sets.
    const bytes = new Set(golden.values());
    for (const [path, text] of mine) {
      expect([...all.keys()], path).toContain(key(path));
      expect(bytes.has(text), path).toBe(true);
    }
    const hotPlug = /PCST|SEJ|BNMR|BLCK|PCEJ|AIDX|PDSM|BSEL|ASUN|_DSM|_SUN|_EJ0|DVNT|PCNT|PHPR|PRES|CPUS|C000|_E0[12]/;
    const others = /FDC0|FLPA|LPT1|S00_|\/S[0-9A-F]{2}_\/_ADR/;
    const left = [...all.keys()].filter((path) => ![...mine.keys()].map(key).includes(path));
    expect(left.filter((path) => !hotPlug.test(path) && !others.test(path))).toEqual([]);
  });

  it('the loader’s commands are QEMU’s, at the places of our tables', () => {
    const decode = (file: Uint8Array) => {
      const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
      const text = (at: number) => String.fromCharCode(...file.subarray(at, file.indexOf(0, at)));
      const commands: string[] = [];
      for (let at = 0; at < file.length && view.getUint32(at, true) !== 0; at += 128) {
        const command = view.getUint32(at, true);
        commands.push(command === 2 ? `2 ${text(at + 4)} ${text(at + 60)}` : `${command} ${text(at + 4)}`);
      }
      return commands;
    };
    const wanted = new Uint8Array(4096);
    wanted.set(bytesOf(golden['etc/table-loader']));
    expect(decode(acpiFiles(CONTENTS).loader)).toEqual(decode(wanted));
  });

  it('a loader that follows the commands finds sums of zero and pointers to tables', () => {
    const { tables, rsdp, loader } = acpiFiles({ ...CONTENTS, pmBase: 0x600 });
    const files = new Map([
      ['etc/acpi/tables', { bytes: tables.slice(), address: 0x7f_0000 }],
      ['etc/acpi/rsdp', { bytes: rsdp.slice(), address: 0xf_0000 }],
    ]);
    const view = new DataView(loader.buffer);
    const file = (at: number) => files.get(String.fromCharCode(...loader.subarray(at, loader.indexOf(0, at))))!;
    for (let at = 0; view.getUint32(at, true) !== 0; at += 128) {
      const command = view.getUint32(at, true);
      const { bytes } = file(at + 4);
      if (command === 2) {
        const target = new DataView(bytes.buffer);
        const offset = view.getUint32(at + 116, true);
        target.setUint32(offset, target.getUint32(offset, true) + file(at + 60).address, true);
      } else if (command === 3) {
        const [offset, start, length] = [60, 64, 68].map((each) => view.getUint32(at + each, true)) as [
          number,
          number,
          number,
        ];
        const sum = bytes.subarray(start, start + length).reduce((a, b) => a + b, 0);
        bytes[offset] = (bytes[offset]! - sum) & 0xff;
      }
    }
    const block = files.get('etc/acpi/tables')!;
    const found = tablesOf(block.bytes);
    for (const [signature, table] of found)
      if (signature !== 'FACS') expect([signature, table.reduce((a, b) => a + b, 0) & 0xff]).toEqual([signature, 0]);
    const rsdt = new DataView(files.get('etc/acpi/rsdp')!.bytes.buffer).getUint32(16, true) - block.address;
    expect(String.fromCharCode(...block.bytes.subarray(rsdt, rsdt + 4))).toBe('RSDT');
    const entries = found.get('RSDT')!;
    const signatures = [0, 1, 2, 3].map((i) => {
      const at = new DataView(entries.buffer, entries.byteOffset).getUint32(36 + 4 * i, true) - block.address;
      return String.fromCharCode(...block.bytes.subarray(at, at + 4));
    });
    expect(signatures).toEqual(['FACP', 'APIC', 'HPET', 'WAET']);
    expect([...found.get('FACP')!.subarray(56, 60)]).toEqual(le(0x600, 4));
  });
});

describe('SMBIOS', () => {
  it('is QEMU’s, byte for byte', () => {
    const { tables, anchor } = smbiosFiles({
      product: 'Standard PC (i440FX + PIIX, 1996)',
      version: 'pc-i440fx-7.2',
      uuid: new Uint8Array(16),
      sockets: 1,
      coresPerSocket: 1,
      threadsPerCore: 1,
      cpuSignature: 0x0006_0fb1,
      cpuFeatures: 0x078b_fbfd,
      lowRamBytes: 128 << 20,
      highRamBytes: 0,
      entryPoint: '32',
      options: NO_SMBIOS,
      pciAddress: () => null,
    });
    expect(Buffer.from(tables).toString('hex')).toBe(golden['etc/smbios/smbios-tables'].join(''));
    expect(Buffer.from(anchor).toString('hex')).toBe(golden['etc/smbios/smbios-anchor'].join(''));
  });
});
