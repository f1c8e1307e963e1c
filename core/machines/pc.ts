/**
 * Board `pc` (pc-i440fx-7.2): i440FX and PIIX3/PIIX4, an ISA bus with the AT's chips, IDE, serial ports, VGA.
 * Left out against QEMU until they exist: HPET, IOAPIC and local APIC, floppy controller, parallel port, vmport, network card.
 */
import type { Chardev } from '../backends/char/chardev.ts';
import type { Device } from '../hw/core/device.ts';
import { splitPin } from '../hw/core/pin.ts';
import type { IsaBus } from '../hw/isa/isa-bus.ts';
import { type I440FxPciHost, i440FxNew } from '../hw/pci/i440fx.ts';
import type { PciDevice } from '../hw/pci/pci-device.ts';
