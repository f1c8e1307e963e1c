/** The types of this folder, for the catalog. */
import { i440FxPciHostType, i440FxType } from './i440fx.ts';
import { pciBusType } from './pci-bus.ts';
import { pciDeviceTypeInfo } from './pci-device.ts';
import { pciHostType } from './pci-host.ts';
import { pciPiix3Type, piix3Type } from './piix3.ts';

export const pciTypes = [
  pciBusType,
  pciDeviceTypeInfo,
  pciHostType,
  i440FxPciHostType,
  i440FxType,
  pciPiix3Type,
  piix3Type,
];
