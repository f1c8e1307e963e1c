/** The short form of cpu-models.soak.ts: one model, with instructions of three kinds of vectors and differences from QEMU on both sides. */
import { describe, expect, it } from 'vitest';
import { hasQemu, qemu } from '../support/machine.ts';
import { modelFaults } from './cpu-models.ts';
import { cpuModelsGuest, guestOrReason } from './images.ts';

const { guest, reason } = guestOrReason(cpuModelsGuest);
if (!guest) console.log(`skipped: no 64-bit Linux guest can be made here: ${reason}`);
else if (!hasQemu) console.log(`compared with the host CPU only: ${qemu} is not installed`);

describe.skipIf(!guest)('64-bit Debian finds of a CPU model what it finds on QEMU', { timeout: 600_000 }, () => {
  it('EPYC', async () => {
    expect(await modelFaults(guest!, 'EPYC')).toEqual([]);
  });
});
