/** Resets as a QMP client hears of them: how many, whose they are, and where they stand among the replies, as in QEMU 7.2. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import { engine, qemu, RunningMachine } from '../support/machine.ts';

const HALT = [0xf4, 0xeb, 0xfd];
/** A byte of the CMOS memory that nobody uses and no reset touches. */
const MARK = 0x60;

/** A ROM that halts, after code that it runs once since power-on. */
function writeRom(path: string, code: readonly number[]): void {
  const rom = Buffer.alloc(0x10000);
  const mark = [0xb0, MARK, 0xe6, 0x70, 0xb0, 1, 0xe6, 0x71]; // out 70,MARK; out 71,1
  const body = code.length > 0 ? [...mark, ...code] : [];
  Buffer.from([
    ...[0xb0, MARK, 0xe6, 0x70, 0xe4, 0x71, 0x84, 0xc0, 0x75, body.length], // out 70,MARK; in al,71; test al,al; jnz
    ...[...body, ...HALT],
  ]).copy(rom);
  Buffer.from([0xea, 0, 0, 0, 0xf0]).copy(rom, 0xfff0); // jmp f000:0
  writeFileSync(path, rom);
}

async function start(program: string, args: readonly string[]): Promise<RunningMachine> {
  return RunningMachine.start({ program, args: ['-accel', 'tcg', '-nodefaults', '-S', ...args] });
}

/** What a client reads, in order, while it does something with a machine that halts after `code`. */
async function both(
  code: readonly number[],
  steps: (machine: RunningMachine) => Promise<unknown>,
  args: readonly string[] = [],
): Promise<readonly string[]> {
  const read = async (program: string) => {
    const rom = join(scratchFolder(), 'rom.bin');
    writeRom(rom, code);
    const machine = await start(program, ['-bios', rom, ...args]);
    try {
      await steps(machine);
      return machine.qmp.received;
    } finally {
      await machine.stop();
    }
  };
  const [ours, theirs] = await Promise.all([read(engine), read(qemu)]);
  expect(ours).toEqual(theirs);
  return theirs;
}
const HOST_RESET = 'RESET {"guest":false,"reason":"host-qmp-system-reset"}';
const GUEST_RESET = 'RESET {"guest":true,"reason":"guest-reset"}';

describe('a client that resets', () => {
  it('hears of it before the reply, also where several commands arrive at once', async () => {
    const said = await both([], async ({ qmp }) => {
      const all = (...commands: string[]) => Promise.all(commands.map((command) => qmp.execute(command)));
      await all('query-status');
      await all('cont', 'system_reset', 'query-status');
      await all('system_powerdown', 'system_reset', 'system_reset');
      await all('stop', 'system_reset', 'query-status', 'cont', 'query-status');
      await qmp.hmp('system_reset');
    });
    expect(said.filter((line) => line === HOST_RESET)).toHaveLength(5);
  });

  it.each([[[]], [['-no-shutdown']]])('and ends it, %j', async (args) => {
    await both(
      [],
      async ({ qmp, exited }) => {
        await qmp.execute('cont');
        await qmp.execute('quit');
        await exited;
      },
      args,
    );
  });

  it('under -no-reboot is answered before the end', async () => {
    const said = await both(
      [],
      async ({ qmp, exited }) => {
        await qmp.execute('cont');
        await qmp.execute('system_reset');
        await exited;
      },
      ['-no-reboot'],
    );
    expect(said.at(-2)).toBe('SHUTDOWN {"guest":false,"reason":"host-qmp-system-reset"}');
  });
});

it.each([
  ["the bridge's register CF9", [0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee]],
  ['the keyboard controller', [0xb0, 0xfe, 0xe6, 0x64]],
  ['port 92', [0xb0, 0x01, 0xe6, 0x92]],
  // lidt cs:[1000], which is 0; int3
  ['a triple fault', [0x2e, 0x0f, 0x01, 0x1e, 0x00, 0x10, 0xcc]],
])('a guest that resets through %s is heard once', async (_, code) => {
  const said = await both(code, async ({ qmp }) => {
    await qmp.execute('cont');
    await expect.poll(() => qmp.received.includes(GUEST_RESET), { timeout: 20_000 }).toBe(true);
    // By now a second one would have come.
    await qmp.execute('stop');
    await qmp.execute('system_reset');
  });
  expect(said.filter((line) => line.startsWith('RESET'))).toEqual([GUEST_RESET, HOST_RESET]);
});

/** A PC's reset leaves the memory that shadows the firmware: SeaBIOS finds that it has run, copies its ROM there and resets once more,
 *  through CF9. What follows in it, until the reset comes, ends in a triple fault; QEMU's processor, a thread of its own, sometimes gets
 *  that far, and then QEMU has a third reset to tell. With -icount it stops at the access, as ours and a real one do. */
it('SeaBIOS resets a second time, once', async () => {
  const read = async (program: string, args: readonly string[]) => {
    const log = join(scratchFolder(), 'log');
    writeFileSync(log, '');
    const debug = ['-chardev', `file,id=d,path=${log}`, '-device', 'isa-debugcon,iobase=0x402,chardev=d'];
    const machine = await start(program, [...debug, ...args]);
    const posts = (count: number) =>
      expect
        .poll(() => readFileSync(log, 'latin1').split('No bootable device').length - 1, { timeout: 30_000 })
        .toBe(count);
    try {
      await machine.qmp.execute('cont');
      await posts(1);
      await machine.qmp.execute('system_reset');
      await posts(2);
      return machine.qmp.received;
    } finally {
      await machine.stop();
    }
  };
  const [ours, theirs] = await Promise.all([read(engine, []), read(qemu, ['-icount', 'shift=auto'])]);
  expect(ours).toEqual(theirs);
  expect(theirs.filter((line) => line.startsWith('RESET'))).toEqual([HOST_RESET, GUEST_RESET]);
});
