/** A machine without its firmware says where it looked and what to do, and nothing is started. */
import { describe, expect, it } from 'vitest';
import { nodeHost } from '../../core/node/host.ts';
import { type ParsedCommandLine, parseCommandLine } from '../../core/options/command-line.ts';
import { resetObjectRoot } from '../../core/qom/object.ts';
import { qemuInit } from '../../core/system/qemu-init.ts';
import { UserError } from '../../core/util/errors.ts';

async function start(args: readonly string[]): Promise<unknown> {
  resetObjectRoot();
  const command = parseCommandLine(['-nodefaults', '-display', 'none', ...args], {
    program: 'terrarium-x86_64',
    version: '0',
    readFile: () => ({ error: 'No such file or directory' }),
    warn() {},
    userConfigFiles: [],
  }) as ParsedCommandLine;
  try {
    await qemuInit(command, { ...nodeHost, findFirmware: () => null });
  } catch (error) {
    return error;
  }
  return null;
}

describe('missing firmware', () => {
  it('is one error that names the file, every folder searched, and the remedy', async () => {
    const error = await start(['-L', '/some/folder']);
    expect(error).toBeInstanceOf(UserError);
    const { message, hint } = error as UserError;
    expect(message).toBe("could not find the firmware 'bios-256k.bin'");
    for (const folder of ['/some/folder', '/usr/share/seabios', '/usr/share/qemu']) expect(hint).toContain(folder);
    expect(hint).toContain('apt-get install seabios');
    expect(hint).toContain('-L');
  });
  it('that the user named is QEMU’s error', async () => {
    expect(await start(['-bios', 'nosuch.bin'])).toMatchObject({ message: "could not load PC BIOS 'nosuch.bin'" });
  });
});
