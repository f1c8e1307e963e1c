/** A PC's ACPI tables in fw_cfg. They are made anew when the firmware first selects one of their files, for it has placed the power
 *  management ports by then; what has been read once stays. */
import type { Device } from '../hw/core/device.ts';
import { environment } from '../hw/core/environment.ts';
import type { IsaBus } from '../hw/isa/isa-bus.ts';
import type { FwCfg } from '../hw/nvram/fw-cfg.ts';
import type { PciBus } from '../hw/pci/pci-bus.ts';
import { MemoryRegion } from '../memory/region.ts';
import { objectNewAs } from '../qom/object.ts';
import { ACPI_FILES, type AcpiContents, type AcpiFiles, acpiFiles } from './acpi/tables.ts';

const RSDP_ROOM = 0x1000;
const CLASS_AT = 0x0a;
const DISPLAY = 0x0300;
const PM_BASE = 0x40;
const PM_BASE_MASK = 0xffc0;

export interface TableSources {
  readonly fwCfg: FwCfg;
  readonly pciBus: PciBus;
  readonly isaBus: IsaBus;
  /** The function that has the power management ports. */
  readonly power: { readonly config: Uint8Array };
  readonly contents: Omit<AcpiContents, 'pmBase' | 'serials' | 'vgaSlot' | 'hasKeyboard'>;
}

function describe({ pciBus, isaBus, power, contents }: TableSources): AcpiContents {
  const isa = isaBus.children.toReversed();
  const word = (config: Uint8Array, at: number) => config[at]! | (config[at + 1]! << 8);
  const display = [...pciBus.devices()].find(({ config }) => word(config, CLASS_AT) === DISPLAY);
  return {
    ...contents,
    pmBase: word(power.config, PM_BASE) & PM_BASE_MASK,
    hasKeyboard: isa.some((device) => device.typeName === 'i8042'),
    serials: isa
      .filter((device) => device.typeName === 'isa-serial')
      .map((device: Device) => ({
        number: (device.propertyValue('index') as number) + 1,
        iobase: device.propertyValue('iobase') as number,
        irq: device.propertyValue('irq') as number,
      })),
    vgaSlot: display ? display.devfn >> 3 : null,
  };
}

export function addAcpiTables(sources: TableSources): void {
  const { fwCfg } = sources;
  const first = acpiFiles(describe(sources));
  const stored = new Map<keyof AcpiFiles, Uint8Array>();
  let isFinal = false;
  const onSelect = () => {
    if (isFinal) return;
    isFinal = true;
    const last = acpiFiles(describe(sources));
    for (const [file, bytes] of stored) bytes.set(last[file]);
  };
  for (const file of ['tables', 'loader', 'rsdp'] as const) {
    const room = file === 'rsdp' ? RSDP_ROOM : first[file].length;
    const region = objectNewAs(MemoryRegion, 'memory-region');
    region.initRom(fwCfg, environment().arena, `/rom@${ACPI_FILES[file]}`, room);
    const bytes = region.bytes.subarray(0, first[file].length);
    bytes.set(first[file]);
    stored.set(file, bytes);
    fwCfg.addFile(ACPI_FILES[file], bytes, { onSelect });
  }
}
