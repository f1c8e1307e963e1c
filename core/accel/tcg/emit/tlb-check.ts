/** The look into the TLB (interpreter/layout.ts), wherever generated code makes it. */
import { FIELDS } from '../../../target/x86/state.ts';
import { OP } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { TLB } from '../interpreter/layout.ts';

export interface TlbCheck {
  /** Address of the CPU's state. */
  readonly state: number;
  /** Leaves the lower 32 bits of the address. */
  readonly low: () => void;
  /** Leaves the address of the access's last byte. */
  readonly last: () => void;
  /** One of TLB's rights. */
  readonly right: number;
  /** Local that gets the address of the entry. */
  readonly entry: number;
  /** Local that holds the bank; without it the state says. */
  readonly bank?: number;
  /** Addresses have 64 bits. */
  readonly isLong: boolean;
}

/** Leaves 1 when the TLB allows the access, or, with `isRefused`, when it does not. */
export function emitTlbCheck(w: FunctionWriter, check: TlbCheck, isRefused = false): void {
  const { isLong } = check;
  check.low();
  w.i32(TLB.indexShift);
  w.op(OP.i32ShrU);
  w.i32(TLB.indexMask);
  w.op(OP.i32And);
  if (check.bank !== undefined) w.get(check.bank);
  else {
    w.i32(0);
    w.memory(OP.i32Load, check.state + FIELDS.tlbBase.offset);
  }
  w.op(OP.i32Add);
  w.tee(check.entry);
  w.memory(isLong ? OP.i64Load : OP.i32Load, check.right);
  check.last();
  if (isLong) w.i64(-4096);
  else w.i32(-4096);
  w.op(isLong ? OP.i64And : OP.i32And);
  if (isRefused) w.op(isLong ? OP.i64Ne : OP.i32Ne);
  else w.op(isLong ? OP.i64Eq : OP.i32Eq);
}
