/** Debian's installer for amd64, its own kernel and initrd from -kernel, to its first questions on the serial console. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GuestConsole } from './guest-console.ts';
import { guestOrReason, installerGuest } from './images.ts';

const { guest, reason } = guestOrReason(installerGuest);
if (!guest) console.log(`skipped: Debian's installer cannot be had here: ${reason}`);

const LIMIT_MS = 240_000;

describe.skipIf(!guest)("Debian's installer for amd64", () => {
  let machine: GuestConsole;
  beforeAll(() => {
    const { kernel, initrd } = guest!;
    const append = 'console=ttyS0 quiet tsc=reliable random.trust_cpu=on';
    machine = GuestConsole.start(['-m', '1024', '-kernel', kernel, '-initrd', initrd, '-append', append]);
  });
  afterAll(() => machine?.stop());

  it('asks for the language, and after an answer for the place', { timeout: 2 * LIMIT_MS }, async () => {
    await machine.waitFor(/Select a language[\s\S]*English[\s\S]*<Go Back>/, LIMIT_MS);
    machine.child.stdin?.write('\r');
    const [dialog] = await machine.waitFor(/Select your location[\s\S]*United States[\s\S]*<Go Back>/, LIMIT_MS);
    expect(dialog).toContain('Country, territory or area:');
  });
});
