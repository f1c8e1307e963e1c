/** The device types that exist. A new chip is one line here. */
import { registerChardevTypes } from '../backends/char/chardev.ts';
import { registerMuxType } from '../backends/char/mux.ts';
import { piix4PmTypes } from './acpi/piix4-pm.ts';
import { pcspkType } from './audio/pcspk.ts';
import { debugconType } from './char/debugcon.ts';
import { serialTypes } from './char/serial-isa.ts';
import { registerDeviceTypes } from './core/device.ts';
import { vgaTypes } from './display/vga-types.ts';
import { i8257Type } from './dma/i8257.ts';
import { ideTypes } from './ide/ide-types.ts';
import { i8042Type } from './input/i8042.ts';
import { ps2Types } from './input/ps2.ts';
import { apicCommonType, apicType } from './intc/apic.ts';
import { i8259Types } from './intc/i8259.ts';
import { ioapicTypes } from './intc/ioapic.ts';
import { isaTypes } from './isa/isa-bus.ts';
import { debugExitType } from './misc/debug-exit.ts';
import { port92Type } from './misc/port92.ts';
import { fwCfgIoType, fwCfgType } from './nvram/fw-cfg.ts';
import { pciTypes } from './pci/pci-types.ts';
import { mc146818RtcType } from './rtc/mc146818rtc.ts';
import { hpetType } from './timer/hpet.ts';
import { i8254Types } from './timer/i8254.ts';

export function registerDeviceCatalog(): void {
  registerChardevTypes();
  registerMuxType();
  registerDeviceTypes([
    ...isaTypes,
    ...pciTypes,
    ...ideTypes,
    ...piix4PmTypes,
    apicCommonType,
    apicType,
    ...i8259Types,
    ...ioapicTypes,
    ...i8254Types,
    hpetType,
    pcspkType,
    mc146818RtcType,
    i8042Type,
    ...ps2Types,
    i8257Type,
    ...serialTypes,
    debugconType,
    debugExitType,
    port92Type,
    fwCfgType,
    fwCfgIoType,
    ...vgaTypes,
  ]);
}
