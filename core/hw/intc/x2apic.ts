/** The local APIC's registers as MSRs 800h to 8FFh (Intel SDM volume 3A section 10.12): which exist, which of their bits, and the two
 *  that differ from memory's, the interrupt command with its 64 bits and the self interrupt. */
import type { Apic } from './apic.ts';
import { COMMAND, REGISTER, SPURIOUS } from './apic-registers.ts';

/** RDMSR is #GP. */
export const NO_REGISTER = -1;
const ALL = 0xffff_ffff;

const READABLE = new Set<number>([
  REGISTER.id,
  REGISTER.version,
  REGISTER.taskPriority,
  REGISTER.processorPriority,
  REGISTER.logicalDestination,
  REGISTER.spuriousVector,
  ...Array.from({ length: 24 }, (_, i) => REGISTER.inService + i),
  REGISTER.errorStatus,
  REGISTER.command,
  ...Array.from({ length: 6 }, (_, i) => REGISTER.localVectors + i),
  REGISTER.initialCount,
  REGISTER.currentCount,
  REGISTER.divide,
]);
/** Bits that may be set, by register; others are #GP. */
const WRITABLE = new Map<number, number>([
  [REGISTER.taskPriority, 0xff],
  [REGISTER.endOfInterrupt, 0],
  [REGISTER.spuriousVector, SPURIOUS.writable | 0x1000],
  [REGISTER.errorStatus, 0],
  [REGISTER.command, COMMAND.writable],
  [REGISTER.localVectors, 0x7_10ff],
  [REGISTER.localVectors + 1, 0x1_17ff],
  [REGISTER.localVectors + 2, 0x1_17ff],
  [REGISTER.localVectors + 3, 0x1_f7ff],
  [REGISTER.localVectors + 4, 0x1_f7ff],
  [REGISTER.localVectors + 5, 0x1_10ff],
  [REGISTER.initialCount, ALL],
  [REGISTER.divide, 0x0b],
  [REGISTER.selfInterrupt, 0xff],
]);

/** @param register MSR number less 800h @returns the low or the high half, or `NO_REGISTER` */
export function readX2apic(apic: Apic, register: number, isHigh: boolean): number {
  if (!apic.isX2apic || !READABLE.has(register)) return NO_REGISTER;
  if (isHigh) return register === REGISTER.command ? apic.readRegister(REGISTER.commandHigh) : 0;
  return apic.readRegister(register);
}

/** False: #GP. */
export function writeX2apic(apic: Apic, register: number, low: number, high: number): boolean {
  const writable = WRITABLE.get(register);
  if (!apic.isX2apic || writable === undefined || (low & ~writable) >>> 0 !== 0) return false;
  if (register === REGISTER.command) apic.writeRegister(REGISTER.commandHigh, high >>> 0);
  else if (high !== 0) return false;
  if (register === REGISTER.selfInterrupt) apic.interruptSelf(low);
  else apic.writeRegister(register, low >>> 0);
  return true;
}
