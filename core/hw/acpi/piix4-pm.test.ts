import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, objectSet } from '../../qom/object.ts';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { pciBusNew, pciBusType } from '../pci/pci-bus.ts';
import { pciDeviceTypeInfo } from '../pci/pci-device.ts';
import { Piix4Pm, piix4PmTypes } from './piix4-pm.ts';
import { addEeproms } from './smbus.ts';

if (!typeIsRegistered('PIIX4_PM')) registerDeviceTypes([pciBusType, pciDeviceTypeInfo, ...piix4PmTypes]);
const PM = 0x600;
const SMBUS = 0x700;

function machine(properties: Record<string, unknown> = {}) {
  const board = bareBoard();
  const memory = objectNewAs(MemoryRegion, 'memory-region').initContainer(null, 'pci', 2 ** 64);
  const bus = pciBusNew(null, memory, board.systemIo, 'pci.0');
  const chip = deviceNew(Piix4Pm, 'PIIX4_PM');
  for (const [name, value] of Object.entries({ smb_io_base: 0xb100, 'smm-enabled': true, ...properties }))
    objectSet(chip, name, value);
  deviceRealize(chip, bus);
  addEeproms(chip.i2cBus);
  resetTree(chip);
  return { board, chip, io: board.io };
}

describe('PIIX4_PM', () => {
  let m: ReturnType<typeof machine>;
  beforeEach(() => {
    m = machine();
    m.chip.writeConfig(0x40, PM | 1, 4);
    m.chip.writeConfig(0x80, 1, 1);
    m.chip.writeConfig(0x90, SMBUS | 1, 4);
  });

  it('has the configuration registers that QEMU’s has at reset', () => {
    const { chip } = machine();
    const seen = [0x3d, 0x40, 0x41, 0x5b, 0x5f, 0x63, 0x67, 0x80, 0x90, 0x91, 0xd2].map((at) => chip.config[at]);
    expect(seen).toEqual([1, 1, 0, 0, 0x10, 0x60, 0, 0, 1, 0xb1, 9]);
    expect(machine({ 'smm-enabled': false }).chip.config[0x5b]).toBe(2);
  });

  it('counts its timer at 3.579545 MHz, 24 bits wide', () => {
    m.board.advance(1e9);
    expect(m.io.read(PM + 8, 4)).toBe(3_579_545);
    m.board.advance(4e9);
    expect(m.io.read(PM + 8, 4)).toBe((5 * 3_579_545) % 2 ** 24);
    expect(m.io.read(PM + 9, 1)).toBe((((5 * 3_579_545) % 2 ** 24) >> 8) & 0xff);
  });

  it('interrupts when the timer’s top bit changes, until the status is cleared', () => {
    m.io.write(PM + 2, 2, 1);
    expect(m.chip.sci.level).toBe(1); // it is set after a reset
    m.io.write(PM, 2, 1);
    expect(m.chip.sci.level).toBe(0);
    m.board.advance(2.4e9);
    expect(m.chip.sci.level).toBe(1);
    expect(m.io.read(PM, 2) & 1).toBe(1);
    m.io.write(PM, 2, 1);
    expect(m.chip.sci.level).toBe(0);
    m.board.advance(2.4e9);
    expect(m.chip.sci.level).toBe(1);
  });

  it('tells of the power button only when that is enabled', () => {
    m.chip.pressPowerButton();
    expect(m.io.read(PM, 2) & 0x100).toBe(0);
    m.io.write(PM + 3, 1, 1);
    m.chip.pressPowerButton();
    expect([m.io.read(PM + 1, 1) & 1, m.chip.sci.level]).toEqual([1, 1]);
    m.io.write(PM + 1, 1, 1);
    expect([m.io.read(PM + 1, 1) & 1, m.chip.sci.level]).toEqual([0, 0]);
  });

  it('powers off and suspends, whatever the guest is told of it', () => {
    m.io.write(PM + 4, 2, 0x2000);
    m.io.write(PM + 4, 2, 0x2400);
    m.io.write(PM + 4, 2, 0x2800);
    expect(m.board.requests).toEqual([
      'shutdown guest-shutdown',
      'suspend',
      'event SUSPEND_DISK',
      'shutdown guest-shutdown',
    ]);
    expect(m.io.read(PM + 4, 2)).toBe(0x0800);
    const other = machine({ disable_s3: 1, disable_s4: 1, s4_val: 3 });
    other.chip.writeConfig(0x40, PM | 1, 4);
    other.chip.writeConfig(0x80, 1, 1);
    for (const value of [0x2400, 0x2800, 0x2c00]) other.io.write(PM + 4, 2, value);
    expect(other.board.requests).toEqual(['suspend', 'event SUSPEND_DISK', 'shutdown guest-shutdown']);
    expect([...m.chip.sleepTypes()]).toEqual([0x80, 0, 0, 0x81, 0x82, 0x80]);
    expect([...other.chip.sleepTypes()]).toEqual([0x80, 0, 0, 0x01, 0x03, 0x80]);
  });

  it('says why the machine woke', () => {
    for (const [reason, bits] of [
      ['rtc', 0x8400],
      ['pm-timer', 0x8001],
      ['other', 0x8100],
    ] as const) {
      m.io.write(PM, 2, 0xffff);
      m.board.sleep.woken(reason);
      expect(m.io.read(PM, 2)).toBe(bits);
    }
  });

  it('wakes by timer and alarm only where they are enabled, and by anything else', () => {
    const enabled = () => (['rtc', 'pm-timer', 'other'] as const).filter((reason) => m.board.sleep.isEnabled(reason));
    expect(enabled()).toEqual(['other']);
    m.io.write(PM + 2, 2, 0x0401);
    expect(enabled()).toEqual(['rtc', 'pm-timer', 'other']);
    m.io.write(PM, 2, 1);
    m.board.advance(2.4e9);
    expect(m.board.requests).toEqual(['wakeup pm-timer']);
    resetTree(m.chip);
    expect(enabled()).toEqual(['other']);
  });

  it('takes ACPI commands and raises SMI when the firmware lets it', () => {
    m.io.write(0xb3, 1, 7);
    m.io.write(0xb2, 1, 0xf1);
    expect([m.io.read(0xb2, 1), m.io.read(0xb3, 1), m.io.read(PM + 4, 2), m.chip.smi.level]).toEqual([0xf1, 7, 1, 0]);
    m.chip.writeConfig(0x5b, 2, 1);
    m.io.write(0xb2, 1, 0xf0);
    expect([m.io.read(PM + 4, 2), m.chip.smi.level]).toEqual([0, 1]);
  });

  it('keeps general purpose events', () => {
    m.io.write(0xafe2, 2, 0x0102);
    expect(m.io.read(0xafe0, 4)).toBe(0x0102_0000);
  });

  it('reads and writes EEPROMs over SMBus and hears of absent ones', () => {
    const transact = (address: number, command: number, control: number) => {
      m.io.write(SMBUS, 1, 0xff);
      m.io.write(SMBUS + 4, 1, address);
      m.io.write(SMBUS + 3, 1, command);
      m.io.write(SMBUS + 2, 1, control);
      return m.io.read(SMBUS, 1);
    };
    m.io.write(SMBUS + 5, 1, 0x5a);
    expect(transact(0xa2, 9, 0x48)).toBe(2);
    m.io.write(SMBUS + 5, 1, 0);
    expect(transact(0xa3, 9, 0x48)).toBe(2);
    expect(m.io.read(SMBUS + 5, 1)).toBe(0x5a);
    expect(transact(0x61, 0, 0x48)).toBe(4);
    for (let control = 0; control < 256; control++) transact(0xa1, control, control);
    expect(transact(0xa3, 9, 0x48)).toBe(2);
  });

  it('moves its blocks with their base registers', () => {
    expect(m.io.find(0xb100)).toBeNull();
    m.chip.writeConfig(0x80, 0, 1);
    expect(m.io.find(PM + 8)).toBeNull();
    resetTree(m.chip);
    expect(m.chip.config[0x41]).toBe(0);
  });
});
