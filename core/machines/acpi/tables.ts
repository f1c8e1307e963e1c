/** The tables of a PC (ACPI 1.0b; HPET 1.0a; MADT of ACPI 2.0; Microsoft's WAET), in one block as fw_cfg gives it to the firmware, and
 *  the commands for the firmware's loader: where to put the blocks, which fields hold addresses within them, what to sum up. */
import { encodeUtf8 } from '../../util/json.ts';
import { type Aml, le } from './aml.ts';
import { type DsdtContents, dsdtTerms } from './dsdt.ts';

export interface AcpiContents extends DsdtContents {
  readonly hasApic: boolean;
  /** Base of PIIX4's power management ports, 0 while the firmware has given none. */
  readonly pmBase: number;
  readonly hpetBlockId: number;
  /** For the headers, at most 6 and 8 bytes. */
  readonly oemId: string;
  readonly oemTableId: string;
}
/** The three files. */
export interface AcpiFiles {
  readonly tables: Uint8Array;
  readonly rsdp: Uint8Array;
  readonly loader: Uint8Array;
}
export const ACPI_FILES = { tables: 'etc/acpi/tables', rsdp: 'etc/acpi/rsdp', loader: 'etc/table-loader' } as const;

/** Whose tables these are unless the user says otherwise. */
export const OEM_ID = 'BOCHS ';
export const OEM_TABLE_ID = 'BXPC    ';
const CREATOR = 'BXPC';
/** Room that the files take; what is over is zeroes, so that a table may grow without a new size. */
export const ACPI_ROOM = { tables: 0x2_0000, loader: 0x1000 } as const;
const HEADER_BYTES = 36;
const CHECKSUM_AT = 9;
const FACS_BYTES = 64;
const SCI = 9;
const PCI_IRQS = [5, 9, 10, 11] as const;
const PM = { control: 4, timer: 8 } as const;
const GPE0 = 0xafe0;
const FADT_FLAGS = { wbinvd: 1 << 0, c1: 1 << 2, sleepButtonIsMethod: 1 << 5, rtcS4: 1 << 7, platformClock: 1 << 15 };

/** A text in a field of its own, filled up with zeroes. */
const field = (text: string, bytes: number) =>
  [...encodeUtf8(text), ...new Array<number>(bytes).fill(0)].slice(0, bytes);
const ascii = (text: string) => [...text].map((c) => c.charCodeAt(0));
const u8 = (...values: number[]) => values;
const u16 = (value: number) => le(value, 2);
const u32 = (...values: number[]) => values.flatMap((value) => le(value, 4));

/** A table with its header; revision 1, checksum left to the loader. */
function table({ oemId, oemTableId }: AcpiContents, signature: string, body: Aml): number[] {
  return [
    ...ascii(signature),
    ...u32(HEADER_BYTES + body.length),
    ...u8(1, 0),
    ...field(oemId, 6),
    ...field(oemTableId, 8),
    ...u32(1),
    ...ascii(CREATOR),
    ...u32(1),
    ...body,
  ];
}

function fadt(contents: AcpiContents, dsdtOffset: number): number[] {
  const { wbinvd, c1, sleepButtonIsMethod, rtcS4, platformClock } = FADT_FLAGS;
  const { pmBase } = contents;
  return table(contents, 'FACP', [
    ...u32(0, dsdtOffset),
    ...u8(1, 0), // interrupt model: 8259s and APICs; no preferred profile
    ...u16(SCI),
    ...u32(0xb2), // SMI command port
    ...u8(0xf1, 0xf0, 0, 0),
    ...u32(pmBase, 0, pmBase + PM.control, 0, 0, pmBase + PM.timer, GPE0, 0),
    ...u8(4, 2, 0, 4, 4, 0, 0, 0), // lengths of those blocks
    ...u16(0xfff), // C2 and C3 are not supported
    ...u16(0xfff),
    ...u16(0),
    ...u16(0),
    ...u8(0, 0, 0, 0, 0x32), // century register of CMOS
    ...u8(0, 0, 0),
    ...u32(wbinvd | c1 | sleepButtonIsMethod | rtcS4 | platformClock),
  ]);
}

function madt(contents: AcpiContents): number[] {
  const levelHigh = 0x000d;
  const override = (source: number, gsi: number, flags: number) => [2, 10, 0, source, ...u32(gsi), ...u16(flags)];
  return table(contents, 'APIC', [
    ...u32(0xfee0_0000, 1), // with 8259s
    ...Array.from({ length: contents.cpus }, (_, i) => [0, 8, i, i, ...u32(1)]).flat(),
    ...[1, 12, 0, 0, ...u32(0xfec0_0000, 0)],
    ...override(0, 2, 0),
    ...PCI_IRQS.flatMap((line) => override(line, line, levelHigh)),
    ...[4, 6, 0xff, ...u16(0), 1], // NMI is LINT1 of every processor
  ]);
}

function hpetTable(contents: AcpiContents): number[] {
  return table(contents, 'HPET', [
    ...u32(contents.hpetBlockId),
    ...u8(0, 0, 0, 0),
    ...u32(0xfed0_0000, 0),
    ...u8(0),
    ...u16(0),
    ...u8(0),
  ]);
}
/** The PM timer is good after one read. */
const waet = (contents: AcpiContents) => table(contents, 'WAET', u32(2));

/** Commands of the firmware's loader, 128 bytes each. */
class Loader {
  private readonly commands: number[][] = [];
  private add(command: number, ...parts: (number[] | string)[]): void {
    const bytes = [...u32(command)];
    for (const part of parts) bytes.push(...(typeof part === 'string' ? ascii(part.padEnd(56, '\0')) : part));
    this.commands.push([...bytes, ...new Array<number>(128 - bytes.length).fill(0)]);
  }
  /** @param zone 1: anywhere below 4 GiB, 2: in the F segment */
  allocate(file: string, alignment: number, zone: 1 | 2): void {
    this.add(1, file, u32(alignment), [zone]);
  }
  /** The 32-bit number at `offset` of `file` counts within `target`: its place is added. */
  pointer(file: string, offset: number, target: string): void {
    this.add(2, file, target, u32(offset), [4]);
  }
  checksum(file: string, offset: number, start: number, length: number): void {
    this.add(3, file, u32(offset, start, length));
  }
  bytes(): number[] {
    return this.commands.flat();
  }
}

function padded(bytes: readonly number[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  all.set(bytes);
  return all;
}

export function acpiFiles(contents: AcpiContents): AcpiFiles {
  const { tables: file, rsdp: rsdpFile } = ACPI_FILES;
  const loader = new Loader();
  loader.allocate(rsdpFile, 16, 2);
  loader.allocate(file, 64, 1);
  const blob = [...ascii('FACS'), ...u32(FACS_BYTES), ...new Array<number>(FACS_BYTES - 8).fill(0)];
  const append = (bytes: readonly number[], pointers: readonly number[] = []): number => {
    const at = blob.length;
    blob.push(...bytes);
    for (const offset of pointers) loader.pointer(file, at + offset, file);
    loader.checksum(file, at + CHECKSUM_AT, at, bytes.length);
    return at;
  };
  const dsdt = append(table(contents, 'DSDT', dsdtTerms(contents)));
  const listed = [append(fadt(contents, dsdt), [36, 40])];
  if (contents.hasApic) listed.push(append(madt(contents)));
  if (contents.hasHpet) listed.push(append(hpetTable(contents)));
  listed.push(append(waet(contents)));
  const rsdt = append(
    table(contents, 'RSDT', u32(...listed)),
    listed.map((_, i) => HEADER_BYTES + 4 * i),
  );
  loader.pointer(rsdpFile, 16, file);
  loader.checksum(rsdpFile, 8, 0, 20);
  const rsdp = [...ascii('RSD PTR '), 0, ...field(contents.oemId, 6), 0, ...u32(rsdt)];
  return {
    tables: padded(blob, ACPI_ROOM.tables),
    rsdp: Uint8Array.from(rsdp),
    loader: padded(loader.bytes(), ACPI_ROOM.loader),
  };
}
