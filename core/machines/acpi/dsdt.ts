/** Definition block of a PC with 440FX and PIIX: what the operating system cannot find out by itself. Named and ordered as QEMU 7.2's.
 *  Left out: hot-plug of PCI devices and processors. */
import * as aml from './aml.ts';

type Aml = aml.Aml;
const { arg, device, int, local, method, name, named, scope, store } = aml;

export interface DsdtContents {
  /** First address above the RAM that lies below 4 GiB. */
  readonly lowRamEnd: number;
  readonly highRamBytes: number;
  readonly hasHpet: boolean;
  readonly cpus: number;
  /** Ports and lines of the serial ports, in their order. */
  readonly serials: readonly { readonly number: number; readonly iobase: number; readonly irq: number }[];
  readonly hasKeyboard: boolean;
  /** What the guest is told of sleeping: S3, and the sleep type of S4. */
  readonly hasS3: boolean;
  readonly s4Type: number | null;
  /** Slot of the display adapter. */
  readonly vgaSlot: number | null;
}

const PCI_HOLE_END = 0xfebf_ffff;
const PCI_HOLE64_BYTES = 2 ** 31;
const GIB = 2 ** 30;
const DEBUG_PORT = 0x402;
const HPET = { base: 0xfed0_0000, bytes: 0x400 } as const;
const FW_CFG = { base: 0x510, ports: 12 } as const;
const GPE = { base: 0xafe0, ports: 4 } as const;
const LINKS = ['LNKA', 'LNKB', 'LNKC', 'LNKD'] as const;
const LINK_IRQS = [5, 10, 11] as const;
const SCI = 9;
/** _STA: present, decoding, working, and shown to the user or not. */
const SHOWN = 0x0f;
const HIDDEN = 0x0b;
const ISA_SLOT = 1;
const PIRQ_ROUTE = 0x60;
const PIRQ_OFF = 0x80;

/** DBUG(x): its argument in hexadecimal to the firmware's debug port. */
function debugPort(): Aml {
  return scope(
    '\\',
    aml.region('DBG', aml.SPACE.io, DEBUG_PORT, 1),
    aml.field('DBG', aml.ACCESS.byte, false, ['DBGB', 8]),
    method(
      'DBUG',
      1,
      false,
      aml.toHexString(arg(0), local(0)),
      aml.toBuffer(local(0), local(0)),
      aml.subtract(aml.sizeOf(local(0)), int(1), local(1)),
      store(int(0), local(2)),
      aml.loop(
        aml.less(local(2), local(1)),
        store(aml.derefOf(aml.index(local(0), local(2))), name('DBGB')),
        aml.increment(local(2)),
      ),
      store(int(0x0a), name('DBGB')),
    ),
  );
}

/** Routing of 32 slots' four pins: pin p of slot s drives link (s + p) mod 4, counted from LNKD. PIIX4's SCI has a link of its own. */
function routingTable(): Aml {
  const entry = (link: string) => store(aml.aPackage(int(0), int(0), name(link), int(0)), local(4));
  const is = (value: number) => aml.equal(local(3), int(value));
  return method(
    '_PRT',
    0,
    false,
    store(aml.emptyPackage(128), local(0)),
    store(int(0), local(1)),
    aml.loop(
      aml.less(local(1), int(128)),
      store(aml.shiftRight(local(1), int(2)), local(2)),
      store(aml.and(aml.add(local(1), local(2)), int(3)), local(3)),
      aml.when(is(0), entry('LNKD')),
      aml.when(is(1), aml.when(aml.equal(local(1), int(4)), entry('LNKS')), aml.otherwise(entry('LNKA'))),
      aml.when(is(2), entry('LNKB')),
      aml.when(is(3), entry('LNKC')),
      store(aml.or(aml.shiftLeft(local(2), int(16)), int(0xffff)), aml.index(local(4), int(0))),
      store(aml.and(local(1), int(3)), aml.index(local(4), int(1))),
      store(local(4), aml.index(local(0), local(1))),
      aml.increment(local(1)),
    ),
    aml.giveBack(local(0)),
  );
}

function links(): Aml {
  return [
    ...method(
      'IQST',
      1,
      false,
      aml.when(aml.and(int(PIRQ_OFF), arg(0)), aml.giveBack(int(HIDDEN & ~2))),
      aml.giveBack(int(HIDDEN)),
    ),
    ...method(
      'IQCR',
      1,
      true,
      named('PRR0', aml.resources(aml.interrupts(0))),
      aml.dwordField(name('PRR0'), 5, 'PRRI'),
      aml.when(aml.less(arg(0), int(PIRQ_OFF)), store(arg(0), name('PRRI'))),
      aml.giveBack(name('PRR0')),
    ),
    ...LINKS.flatMap((link, i) => {
      const route = name(`PRQ${i}`);
      return device(
        link,
        named('_HID', aml.eisaId('PNP0C0F')),
        named('_UID', int(i)),
        named('_PRS', aml.resources(aml.interrupts(...LINK_IRQS))),
        method('_STA', 0, false, aml.giveBack(aml.call('IQST', route))),
        method('_DIS', 0, false, aml.or(route, int(PIRQ_OFF), route)),
        method('_CRS', 0, false, aml.giveBack(aml.call('IQCR', route))),
        method('_SRS', 1, false, aml.dwordField(arg(0), 5, 'PRRI'), store(name('PRRI'), route)),
      );
    }),
    ...device(
      'LNKS',
      named('_HID', aml.eisaId('PNP0C0F')),
      named('_UID', int(LINKS.length)),
      named('_PRS', aml.resources(aml.interrupts(SCI))),
      method('_STA', 0, false, aml.giveBack(int(HIDDEN))),
      method('_DIS', 0, false),
      method('_CRS', 0, false, aml.giveBack(name('_PRS'))),
      method('_SRS', 1, false),
    ),
  ];
}

/** Present if its capabilities make sense: a vendor, and a period of at most 100 ns. */
function hpet(): Aml {
  const absent = aml.giveBack(int(0));
  return device(
    'HPET',
    named('_HID', aml.eisaId('PNP0103')),
    named('_UID', int(0)),
    aml.region('HPTM', aml.SPACE.memory, HPET.base, HPET.bytes),
    aml.field('HPTM', aml.ACCESS.dword, true, ['VEND', 32], ['PRD', 32]),
    method(
      '_STA',
      0,
      false,
      store(name('VEND'), local(0)),
      store(name('PRD'), local(1)),
      aml.shiftRight(local(0), int(16), local(0)),
      aml.when(aml.logicalOr(aml.equal(local(0), int(0)), aml.equal(local(0), int(0xffff))), absent),
      aml.when(aml.logicalOr(aml.equal(local(1), int(0)), aml.greater(local(1), int(100_000_000))), absent),
      aml.giveBack(int(SHOWN)),
    ),
    named('_CRS', aml.resources(aml.memory32(HPET.base, HPET.bytes))),
  );
}

function processors(count: number): Aml {
  return device(
    '\\_SB.CPUS',
    named('_HID', aml.text('ACPI0010')),
    named('_CID', aml.eisaId('PNP0A05')),
    ...Array.from({ length: count }, (_, i) =>
      aml.processor(
        `C${i.toString(16).toUpperCase().padStart(3, '0')}`,
        i,
        named('_MAT', aml.buffer([0, 8, i, i, 1, 0, 0, 0])), // its entry in the MADT
      ),
    ),
  );
}

/** What the host bridge passes to the PCI bus. */
function windows({ lowRamEnd, highRamBytes }: DsdtContents): Aml {
  const high = 2 ** 32 + Math.ceil(highRamBytes / GIB) * GIB;
  return named(
    '_CRS',
    aml.resources(
      aml.busWindow(0, 0xff),
      aml.io(0xcf8, 1, 8),
      aml.ioWindow(0, 0xcf7),
      aml.ioWindow(0xd00, 0xffff),
      aml.memoryWindow(0xa_0000, 0xb_ffff, true),
      aml.memoryWindow(lowRamEnd, PCI_HOLE_END, false),
      aml.memoryWindow(high, high + PCI_HOLE64_BYTES - 1, true),
    ),
  );
}

/** Ports that no other device may take. */
function reserved(path: string, hid: string, uid: string | null, base: number, ports: number): Aml {
  return device(
    path,
    named('_HID', aml.text(hid)),
    ...(uid === null ? [] : [named('_UID', aml.text(uid))]),
    named('_STA', int(HIDDEN)),
    named('_CRS', aml.resources(aml.io(base, 1, ports))),
  );
}

function isaBridge({ serials, hasKeyboard }: DsdtContents): Aml {
  const crs = (...descriptors: Aml[]) => named('_CRS', aml.resources(...descriptors));
  const id = (pnp: string) => named('_HID', aml.eisaId(pnp));
  const status = named('_STA', int(SHOWN));
  return device(
    'S08',
    named('_ADR', int(ISA_SLOT << 16)),
    aml.region('P40C', aml.SPACE.pciConfig, PIRQ_ROUTE, 4),
    scope(
      '\\_SB',
      aml.field('PCI0.S08.P40C', aml.ACCESS.byte, false, ['PRQ0', 8], ['PRQ1', 8], ['PRQ2', 8], ['PRQ3', 8]),
    ),
    ...(hasKeyboard
      ? [
          device('KBD', id('PNP0303'), status, crs(aml.io(0x60, 1, 1), aml.io(0x64, 1, 1), aml.irq(1))),
          device('MOU', id('PNP0F13'), status, crs(aml.irq(12))),
        ]
      : []),
    ...serials.map(({ number, iobase, irq }) =>
      device(
        `COM${number}`,
        id('PNP0501'),
        named('_UID', int(number)),
        status,
        crs(aml.io(iobase, 0, 8), aml.irq(irq)),
      ),
    ),
    device('RTC', id('PNP0B00'), crs(aml.io(0x70, 1, 8), aml.irq(8))),
  );
}

function displayAdapter(slot: number): Aml {
  const state = (path: string) => method(path, 0, false, aml.giveBack(int(0)));
  const path = `S${(slot << 3).toString(16).toUpperCase().padStart(2, '0')}`;
  return device(path, named('_ADR', int(slot << 16)), state('_S1D'), state('_S2D'), state('_S3D'));
}

/** The block's terms, without the table's header. */
export function dsdtTerms(contents: DsdtContents): Aml {
  const { hasHpet, cpus, vgaSlot, hasS3, s4Type } = contents;
  const sleepState = (path: string, type: number) => named(path, aml.aPackage(int(type), int(type), int(0), int(0)));
  return [
    ...debugPort(),
    ...scope('_SB', device('PCI0', named('_HID', aml.eisaId('PNP0A03')), named('_ADR', int(0)), named('_UID', int(0)))),
    ...scope('_SB', scope('PCI0', routingTable()), links()),
    ...(hasHpet ? scope('_SB', hpet()) : []),
    ...scope('_GPE', named('_HID', aml.text('ACPI0006'))),
    ...scope('_SB', processors(cpus)),
    ...scope('\\_SB.PCI0', windows(contents), reserved('GPE0', 'PNP0A06', 'GPE0 resources', GPE.base, GPE.ports)),
    ...scope(
      '\\',
      ...(hasS3 ? [sleepState('_S3', 1)] : []),
      ...(s4Type === null ? [] : [sleepState('_S4', s4Type)]),
      sleepState('_S5', 0),
    ),
    ...scope('\\_SB.PCI0', reserved('FWCF', 'QEMU0002', null, FW_CFG.base, FW_CFG.ports)),
    ...scope('\\_SB', scope('PCI0', isaBridge(contents), ...(vgaSlot === null ? [] : [displayAdapter(vgaSlot)]))),
  ];
}
