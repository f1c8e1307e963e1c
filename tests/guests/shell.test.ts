/** Debian's 686 kernel from -kernel and -initrd to a shell, and programs there whose results are known beforehand. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engine } from '../support/machine.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, shellGuest } from './images.ts';
import { testPowerOff, testShellPrograms } from './shell-programs.ts';

const { guest, reason } = guestOrReason(shellGuest);
if (!guest) console.log(`skipped: no Linux guest can be made here: ${reason}`);

function start(...options: string[]): GuestConsole {
  const { kernel, initrd } = guest!;
  return GuestConsole.start([...options, '-m', '128', '-kernel', kernel, '-initrd', initrd, '-append', QUIET]);
}
async function tellsWhatItIs(machine: GuestConsole): Promise<void> {
  const { output, status } = await machine.run('uname -m; cat /proc/cmdline');
  expect(status).toBe(0);
  expect(output).toBe(`i686\n${QUIET}\n`);
}

describe.skipIf(!guest)("Debian's 686 kernel", () => {
  let machine: GuestConsole;
  /** Boots meanwhile. The real QEMU, when it is asked, has but one way. */
  let interpreted: GuestConsole | undefined;
  beforeAll(async () => {
    if (engine.includes('terrarium')) interpreted = start('-accel', 'tcg,x-jit=off');
    machine = start();
    await machine.waitForShell();
  }, 180_000);
  afterAll(() => Promise.all([machine?.stop(), interpreted?.stop()]));

  it('says what it is', () => tellsWhatItIs(machine));
  it.runIf(engine.includes('terrarium'))(
    'comes to a shell in the interpreter alone',
    async () => {
      await interpreted!.waitForShell();
      await tellsWhatItIs(interpreted!);
      await interpreted!.stop();
    },
    180_000,
  );
  testShellPrograms(() => machine, 95_000);
  it('runs on I/O APIC, local APIC timer and HPET, as the tables tell', async () => {
    const { output } = await machine.run(
      "awk '/IO-APIC +2-edge +timer|IO-APIC +9-fasteoi +acpi|^LOC:/ {print $NF, ($2 > 0)}' /proc/interrupts; dmesg | grep -cE 'ACPI: (FACP|DSDT|APIC|HPET|WAET) 0x|hpet0: 3 comparators|PM-Timer IO Port: 0x608'",
    );
    expect(output).toBe('timer 1\nacpi 0\ninterrupts 1\n7\n');
  });
  it('sleeps for as long as it says', async () => {
    const started = performance.now();
    await machine.run('sleep 2');
    expect(performance.now() - started).toBeGreaterThan(1950);
  });
  testPowerOff(() => machine);
});
