/** INVPCID: drops translations of a process context. Intel SDM volume 2A (INVPCID), volume 3A section 4.10.4.1. */
import { raise, VECTOR } from '../fault.ts';
import { CR4, isCanonical, linearAddress } from '../state.ts';
import type { CpuContext } from '../system-ops.ts';

const TYPE = { address: 0, context: 1, all: 2, allButGlobal: 3 } as const;

/** `at`: linear address of the descriptor: PCID in bits 11:0, linear address in bits 127:64. */
export function invpcid({ state, memory, ...ctx }: CpuContext, type: number, typeHigh: number, at: number): void {
  const [pcid, pcidHigh, low, high] = [0, 4, 8, 12].map((i) => memory.read(at + i, 4)) as [
    number,
    number,
    number,
    number,
  ];
  if (typeHigh !== 0 || type > TYPE.allButGlobal) raise(state, VECTOR.GP, 0);
  if (pcid > 0xfff || pcidHigh !== 0) raise(state, VECTOR.GP, 0);
  if (type <= TYPE.context && pcid !== 0 && !(state.cr4 & CR4.PCIDE)) raise(state, VECTOR.GP, 0);
  if (type === TYPE.address && !isCanonical(high | 0)) raise(state, VECTOR.GP, 0);
  switch (type) {
    case TYPE.address:
      ctx.flushPcid(pcid, linearAddress(low, high));
      return;
    case TYPE.context:
      ctx.flushPcid(pcid);
      return;
    case TYPE.all:
    case TYPE.allButGlobal:
      ctx.flushTlb(type === TYPE.allButGlobal);
  }
}
