/** QEMU's sentences for mistakes that only the machine can notice, each said in one place. */

import { UserError } from '../util/errors.ts';

export const MESSAGES = {
  invalidDeviceModel: (driver: string) => `'${driver}' is not a valid device model name`,
  deviceNotFound: (name: string) => `Device '${name}' not found`,
  driverNotPluggable: () => "Parameter 'driver' expects a pluggable device type",
  driverAbstract: () => "Parameter 'driver' expects a non-abstract device type",
  parameterMissing: (name: string) => `Parameter '${name}' is missing`,
  parameterUnexpected: (name: string) => `Parameter '${name}' is unexpected`,
  parameterExpects: (name: string, what: string) => `Parameter '${name}' expects ${what}`,
  parameterRejectsValue: (name: string, value: string) => `Parameter '${name}' does not accept value '${value}'`,
  invalidParameterType: (name: string, expected: string) =>
    `Invalid parameter type for '${name}', expected: ${expected}`,
  propertyNotFound: (type: string, property: string) => `Property '${type}.${property}' not found`,
  propertyRejectsValue: (type: string, property: string, value: string) =>
    `Property '${type}.${property}' doesn't take value '${value}'`,
  propertyCannotFind: (type: string, property: string, value: string) =>
    `Property '${type}.${property}' can't find value '${value}'`,
  propertyInUse: (type: string, property: string, value: string) =>
    `Property '${type}.${property}' can't take value '${value}', it's in use`,
  cannotApplyGlobal: (driver: string, property: string, value: string, why: string) =>
    `can't apply global ${driver}.${property}=${value}: ${why}`,
  globalInvalidClass: (driver: string, property: string) => `global ${driver}.${property} has invalid class name`,
  busNotFound: (bus: string) => `Bus '${bus}' not found`,
  busFull: (bus: string) => `Bus '${bus}' is full`,
  busRejectsHotplug: (bus: string) => `Bus '${bus}' does not support hotplugging`,
  noBusOfType: (busType: string, driver: string) => `No '${busType}' bus found for device '${driver}'`,
  wrongBusType: (driver: string, busType: string) => `Device '${driver}' can't go on ${busType} bus`,
  duplicateDeviceId: (id: string) => `Duplicate device ID '${id}'`,
  duplicateId: (id: string, group: string) => `Duplicate ID '${id}' for ${group}`,
  driveInUse: (drive: string) => `Drive '${drive}' is already in use by another device`,
  driveOrphaned: (kind: string, bus: number, unit: number) =>
    `machine type does not support if=${kind},bus=${bus},unit=${unit}`,
  ideUnitInUse: (unit: number) => `IDE unit ${unit} is in use`,
  ideUnitBeyond: (unit: number, max: number) => `Can't create IDE unit ${unit}, bus supports only ${max} units`,
  noDriveSpecified: () => 'No drive specified',
  driveEmpty: () => 'Device needs media, but drive is empty',
  driveReadOnly: () => 'Block node is read-only',
  bootindexInUse: (index: number) => `The bootindex ${index} has already been used`,
  pciSlotInUse: (slot: number, fn: number, driver: string, user: string, userId: string | undefined) =>
    `PCI: slot ${slot} function ${fn} not available for ${driver}, in use by ${user},id=${userId ?? '(null)'}`,
  pciNoSlot: (driver: string) => `PCI: no slot/function available for ${driver}, all in use or reserved`,
  pciSingleFunction: (slot: number, fn: number) =>
    `PCI: single function device can't be populated in function ${slot.toString(16)}.${fn.toString(16)}`,
  unsupportedMachine: () => 'unsupported machine type',
  invalidAccelerator: (name: string) => `invalid accelerator ${name}`,
  acceleratorTwice: () => 'The -accel and "-machine accel=" options are incompatible',
  unknownCpuModel: (model: string) => `unable to find CPU model '${model}'`,
  cannotOpen: (file: string, why: string) => `Could not open '${file}': ${why}`,
  notRegularFile: (file: string) => `'file' driver requires '${file}' to be a regular file`,
  unknownBlockDriver: (name: string) => `Unknown driver '${name}'`,
  unknownProtocol: (name: string) => `Unknown protocol '${name}'`,
  unknownBlockOption: (format: string, option: string) =>
    `Block format '${format}' does not support the option '${option}'`,
  chardevNotFound: (id: string) => `chardev "${id}" not found`,
  chardevInUse: (id: string) => `Device '${id}' is in use`,
  stdioTaken: () => 'cannot use stdio by multiple character devices',
  cannotAllocate: (region: string) => `cannot set up guest memory '${region}': Cannot allocate memory`,
  isaSerialFull: (max: number) => `Max. supported number of ISA serial ports is ${max}.`,
  emptyDebugcon: () => "Can't create debugcon device, empty char device",
  cannotLoadBios: (file: string) => `could not load PC BIOS '${file}'`,
} as const;

/** Warning of a raw image whose format was guessed. It stands on stderr without the program's name. */
export function guessedRawWarning(file: string): string {
  return (
    `WARNING: Image format was not specified for '${file}' and probing guessed raw.\n` +
    '         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n' +
    "         Specify the 'raw' format explicitly to remove the restrictions.\n"
  );
}

/** The error for a machine type that does not exist. */
export function unsupportedMachineError(): UserError {
  return new UserError(MESSAGES.unsupportedMachine(), 'Use -machine help to list supported machines');
}
