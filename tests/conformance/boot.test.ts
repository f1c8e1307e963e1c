/** Whole machines, from reset to whatever they were made for. Where QEMU is asked the same, its answer is what is expected. */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import {
  exitWith,
  HALT,
  POWER_OFF,
  PRINT_MULTIBOOT_INFORMATION,
  printSerially,
  RESET,
  reportingDevices,
  writeLinuxLikeKernel,
  writeMultibootKernel,
} from '../support/guest-programs.ts';
import { engine, qemu, RunningMachine, rescueCd } from '../support/machine.ts';
import { QmpConnection } from '../support/qmp-connection.ts';
import { readTexts } from './monitor-texts.ts';

const run = promisify(execFile);

async function start(...args: string[]): Promise<RunningMachine> {
  const machine = await RunningMachine.start({ args });
  onTestFinished(() => machine.stop());
  return machine;
}

/** Exit code and what the guest printed, of a machine that ends by itself. */
async function report(program: string, args: readonly string[]): Promise<{ exit: number | null; printed: Buffer }> {
  const folder = scratchFolder();
  const output = join(folder, 'output');
  const child = spawn(
    program,
    ['-display', 'none', '-accel', 'tcg', '-M', 'pc', ...reportingDevices(output), ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const exit = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  return { exit, printed: existsSync(output) ? readFileSync(output) : Buffer.alloc(0) };
}

/** The last line that GRUB draws, whole. */
const COUNTDOWN = /executed automatically in \d+s\.$/;
const clockLess = (lines: readonly string[]) => lines.map((line) => line.replace(/in \d+s\.$/, 'in Ns.'));

describe("GRUB's rescue disc", () => {
  it.each(['tcg', 'tcg,x-jit=always'])(
    'shows from the CD the screen that QEMU shows, and takes keys, %s',
    async (accel) => {
      const machine = await start('-accel', accel, '-nodefaults', '-vga', 'std', '-cdrom', rescueCd);
      const lines = await machine.waitForScreen((rows) => rows.some((row) => COUNTDOWN.test(row)));
      const golden = [...readTexts('seed-nodefaults-vga.grub')].find(([heading]) => heading.startsWith('text screen'))!;
      const shown = (all: readonly string[]) =>
        clockLess(all.map((line) => line.replace(/[^\x20-\x7e]/g, ' ').trim())).filter((line) => line !== '');
      expect(shown(lines)).toEqual(shown(golden[1].split('\n')));
      await machine.sendKeys('down', 'down');
      await machine.waitForScreen((rows) => rows.some((row) => /\*FreeBSD .*direct boot/.test(row)));
      await machine.sendKeys('c');
      await machine.waitForScreen((rows) => rows.some((row) => /^grub>$/.test(row)));
      await machine.sendKeys('l', 's', 'ret');
      await machine.waitForScreen((rows) => rows.some((row) => /^\(cd\)/.test(row)));
    },
  );

  it('boots as a hard disk too, and the guest writes nothing to it unasked', async () => {
    const disk = join(scratchFolder(), 'disk.img');
    writeFileSync(disk, readFileSync(rescueCd));
    const machine = await start('-drive', `file=${disk},format=raw,if=ide`, '-boot', 'c');
    await machine.waitForText('executed automatically');
    await machine.sendKeys('c');
    await machine.waitForScreen((rows) => rows.some((row) => /^grub>$/.test(row)));
    await machine.sendKeys('l', 's', 'ret');
    await machine.waitForScreen((rows) => rows.some((row) => /^\(hd0\)/.test(row)));
    expect(readFileSync(disk).equals(readFileSync(rescueCd))).toBe(true);
  });
});

describe('what firmware and GRUB ask of the drives', () => {
  it.each([
    ['cdrom', 'media=cdrom,readonly=on', 'ide-cd'],
    ['disk', 'format=raw', 'ide-hd'],
  ])('%s: the same commands and packets in the same order as in QEMU', async (name, format, type) => {
    const folder = scratchFolder();
    const [image, trace] = [join(folder, 'image'), join(folder, 'trace')];
    copyFileSync(rescueCd, image);
    const args = ['-drive', `file=${image},if=none,id=d,${format}`, '-device', `${type},bus=ide.0,drive=d`];
    const events = ['-trace', 'ide_exec_cmd', '-trace', 'ide_atapi_cmd_packet', '-D', trace];
    const machine = await start('-accel', 'tcg', '-m', '128', '-nodefaults', '-vga', 'std', ...args, ...events);
    await machine.waitForText('executed automatically');
    await machine.qmp.execute('quit');
    await machine.exited;
    const golden = readFileSync(new URL(`../fixtures/qemu-7.2/boot/${name}.ide-sequence.txt`, import.meta.url), 'utf8');
    const theirs = commandsOf(golden);
    expect(theirs.length).toBeGreaterThan(50);
    expect(commandsOf(readFileSync(trace, 'utf8'))).toEqual(theirs);
  });
});

describe('-kernel', () => {
  it('a Multiboot kernel gets what QEMU gives it: magic, memory, command line, modules', async () => {
    const folder = scratchFolder();
    const kernel = join(folder, 'kernel');
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    writeMultibootKernel(kernel, PRINT_MULTIBOOT_INFORMATION);
    writeFileSync(first, 'first module');
    writeFileSync(second, 'x'.repeat(5000));
    const args = ['-m', '64', '-kernel', kernel, '-append', 'one two=3', '-initrd', `${first} a b,${second}`];
    const ours = await report(engine, args);
    expect(ours.exit).toBe(0x55);
    expect(ours.printed.readUInt32LE(0)).toBe(0x2badb002);
    expect(ours.printed.toString('latin1')).toContain(`${kernel} one two=3\0`);
    const theirs = await report(qemu, args);
    const information = (printed: Buffer) => ({
      flags: printed.readUInt32LE(8),
      lowerKiB: printed.readUInt32LE(12),
      bootDevice: printed.readUInt32LE(20).toString(16),
      modules: printed.readUInt32LE(28),
      firstModuleBytes: printed.readUInt32LE(160 + 4) - printed.readUInt32LE(160),
      firstModuleOffset: printed.readUInt32LE(160) % 4096,
      regions: printed.readUInt32LE(8 + 44) / 24,
    });
    expect(information(ours.printed)).toEqual(information(theirs.printed));
    expect(ours.printed.length).toBe(theirs.printed.length);
  });

  it("a kernel of Linux's boot protocol gets the header that QEMU fills in", async () => {
    const folder = scratchFolder();
    const [kernel, initrd] = [join(folder, 'bzImage'), join(folder, 'initrd')];
    writeLinuxLikeKernel(kernel);
    writeFileSync(initrd, 'i'.repeat(10_000));
    for (const args of [
      ['-append', 'console=ttyS0 quiet'],
      ['-initrd', initrd, '-append', 'x'],
    ]) {
      const ours = await report(engine, ['-m', '64', '-kernel', kernel, ...args]);
      const theirs = await report(qemu, ['-m', '64', '-kernel', kernel, ...args]);
      expect(theirs.exit).toBe(0x2b);
      expect(ours.exit).toBe(0x2b);
      expect(ours.printed.toString('hex')).toBe(theirs.printed.toString('hex'));
      expect(ours.printed.toString('latin1')).toContain(args.at(-1));
    }
  });
});

describe('ways to end', () => {
  const kernelOf = (code: readonly number[]) => {
    const path = join(scratchFolder(), 'kernel');
    writeMultibootKernel(path, code);
    return path;
  };

  it.each([0, 1, 0x7f])('isa-debug-exit %d', async (value) => {
    expect((await report(engine, ['-kernel', kernelOf(exitWith(value))])).exit).toBe(value * 2 + 1);
  });

  it('soft off through the ACPI control register: SHUTDOWN by the guest, exit code 0', async () => {
    const machine = await start('-kernel', kernelOf(POWER_OFF));
    const event = await machine.qmp.event('SHUTDOWN');
    expect(event.data).toEqual({ guest: true, reason: 'guest-shutdown' });
    expect(await machine.exited).toBe(0);
  });

  it('-no-shutdown: the machine stands still instead, and a reset and cont start it again', async () => {
    const machine = await start('-no-shutdown', '-kernel', kernelOf(POWER_OFF));
    await machine.qmp.event('STOP');
    expect(await machine.qmp.execute('query-status')).toMatchObject({ status: 'shutdown', running: false });
    await machine.qmp.execute('system_reset');
    await machine.qmp.execute('cont');
    await machine.qmp.event('RESUME');
  });

  it('-no-reboot: a reset by the guest ends the machine', async () => {
    const machine = await start('-no-reboot', '-kernel', kernelOf(RESET));
    const event = await machine.qmp.event('SHUTDOWN');
    expect(event.data).toEqual({ guest: true, reason: 'guest-reset' });
    expect(await machine.exited).toBe(0);
  });

  it('without it the guest is reset and runs again', async () => {
    const machine = await start('-kernel', kernelOf(RESET));
    for (let times = 0; times < 2; times++)
      expect((await machine.qmp.event('RESET')).data).toEqual({ guest: true, reason: 'guest-reset' });
  });

  it('quit over QMP', async () => {
    const machine = await start('-kernel', kernelOf(HALT));
    await machine.qmp.execute('quit');
    expect((await machine.qmp.event('SHUTDOWN')).data).toEqual({ guest: false, reason: 'host-qmp-quit' });
    expect(await machine.exited).toBe(0);
  });

  it('SIGTERM', async () => {
    const machine = await start('-kernel', kernelOf(HALT));
    machine.child.kill('SIGTERM');
    expect((await machine.qmp.event('SHUTDOWN')).data).toEqual({ guest: false, reason: 'host-signal' });
    expect(await machine.exited).toBe(0);
  });
});

describe('the host side', () => {
  it('-serial: what a guest writes arrives byte by byte', async () => {
    const folder = scratchFolder();
    const kernel = join(folder, 'kernel');
    const text = 'first line\r\nsecond line, and what is no text: \x00\x80\xff\r\n';
    writeMultibootKernel(kernel, [...printSerially(text), ...exitWith(1)]);
    const path = join(folder, 'serial');
    const { exit } = await report(engine, ['-kernel', kernel, '-serial', `file:${path}`]);
    expect(exit).toBe(3);
    expect(readFileSync(path).toString('latin1')).toContain(text);
  });

  it('-S waits for cont', async () => {
    const machine = await start('-S', '-cdrom', rescueCd);
    expect(await machine.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch', running: false });
    const before = await machine.qmp.hmp('info registers');
    expect(before).toMatch(/EIP=0000fff0/);
    await machine.qmp.execute('cont');
    expect(await machine.qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
    await machine.waitForText('GNU GRUB');
  });

  it('-pidfile and -daemonize: the parent ends, the machine goes on, and its file goes with it', async () => {
    const folder = scratchFolder();
    const [pidFile, socket] = [join(folder, 'pid'), join(folder, 'qmp')];
    const qmpOption = `unix:${socket},server=on,wait=off`;
    await run(engine, ['-display', 'none', '-daemonize', '-pidfile', pidFile, '-qmp', qmpOption, '-S']);
    const pid = Number(readFileSync(pidFile, 'utf8').trim());
    onTestFinished(() => {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended as it should
      }
    });
    const qmp = await QmpConnection.open(socket);
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    await qmp.execute('quit');
    await expect.poll(() => existsSync(pidFile), { timeout: 10_000 }).toBe(false);
  });

  it('missing firmware is one error that names the places searched and the remedy', async () => {
    const failed = run(engine, ['-display', 'none', '-L', '/nowhere/at-all', '-bios', 'no-such-bios.bin']);
    const { code, stderr } = await failed.then(
      () => ({ code: 0, stderr: '' }),
      (error: { code: number; stderr: string }) => error,
    );
    expect(code).toBe(1);
    expect(stderr).toContain("could not load PC BIOS 'no-such-bios.bin'");
  });
});

describe('VNC', () => {
  let machine: RunningMachine;
  let port: number;
  let socketPath: string;
  beforeAll(async () => {
    port = await freePort();
    socketPath = join(mkdtempSync(join(tmpdir(), 'terrarium-test-')), 'vnc');
    const servers = ['-vnc', `127.0.0.1:${port - 5900}`, '-vnc', `unix:${socketPath}`];
    machine = await RunningMachine.start({ args: ['-cdrom', rescueCd, ...servers] });
    await machine.waitForText('executed automatically');
  });
  afterAll(async () => {
    await machine?.stop();
    rmSync(dirname(socketPath), { recursive: true, force: true });
  });

  it('a stock client takes a picture of the screen', async () => {
    const picture = join(scratchFolder(), 'screen.jpg');
    await run('/usr/bin/vncsnapshot', ['-quiet', `127.0.0.1:${port - 5900}`, picture], { timeout: 20_000 });
    const size = jpegSize(readFileSync(picture));
    expect(size).toEqual({ width: 720, height: 400 });
  });

  it('speaks RFB 3.8: version, security, initialisation, one raw rectangle with the text in it', async () => {
    const socket = connect(socketPath);
    onTestFinished(() => void socket.destroy());
    const read = reader(socket);
    expect((await read(12)).toString()).toBe('RFB 003.008\n');
    socket.write('RFB 003.008\n');
    const types = await read((await read(1))[0]!);
    expect([...types]).toContain(1);
    socket.write(Buffer.from([1]));
    expect((await read(4)).readUInt32BE()).toBe(0);
    socket.write(Buffer.from([1]));
    const init = await read(24);
    const [width, height] = [init.readUInt16BE(0), init.readUInt16BE(2)];
    expect([width, height]).toEqual([720, 400]);
    await read(init.readUInt32BE(20));
    socket.write(Buffer.from([2, 0, 0, 1, 0, 0, 0, 0])); // only raw
    socket.write(Buffer.from([3, 0, 0, 0, 0, 0, width >> 8, width & 0xff, height >> 8, height & 0xff]));
    const colours = new Map<number, number>();
    let pixelsLeft = width * height;
    while (pixelsLeft > 0) {
      const header = await read(4);
      expect(header[0]).toBe(0);
      for (let count = header.readUInt16BE(2); count > 0; count--) {
        const rectangle = await read(12);
        expect(rectangle.readInt32BE(8)).toBe(0);
        const pixels = rectangle.readUInt16BE(4) * rectangle.readUInt16BE(6);
        const bytes = await read(pixels * 4);
        for (let at = 0; at < bytes.length; at += 4) {
          const colour = bytes.readUInt32LE(at) & 0xffffff;
          colours.set(colour, (colours.get(colour) ?? 0) + 1);
        }
        pixelsLeft -= pixels;
      }
    }
    expect(colours.get(0) ?? 0).toBeGreaterThan((width * height) / 2); // black ground
    expect(colours.get(0xa8a8a8) ?? 0).toBeGreaterThan(1000); // grey text
  });
});

/** Commands and packets of a trace, without what names the drives in it. */
function commandsOf(trace: string): string[] {
  return [...trace.matchAll(/ide_exec_cmd .*cmd (0x[0-9a-f]+)|ide_atapi_cmd_packet .*(limit=.*)/g)].map((match) =>
    (match[1] ?? match[2] ?? '').trim(),
  );
}

/** A port from 5900 on that nobody listens on. */
async function freePort(): Promise<number> {
  for (let port = 5900 + (process.pid % 500); ; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

/** Reads exactly so many bytes. */
function reader(socket: ReturnType<typeof connect>): (count: number) => Promise<Buffer> {
  let buffered = Buffer.alloc(0);
  let wake: () => void = () => {};
  let hasEnded = false;
  socket.on('data', (bytes: Buffer) => {
    buffered = Buffer.concat([buffered, bytes]);
    wake();
  });
  socket.on('error', () => {}); // close follows
  socket.on('close', () => {
    hasEnded = true;
    wake();
  });
  return async (count) => {
    while (buffered.length < count) {
      if (hasEnded) throw new Error(`the server closed after ${buffered.length} of ${count} bytes`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const bytes = buffered.subarray(0, count);
    buffered = buffered.subarray(count);
    return bytes;
  };
}

/** From the frame header of a baseline JPEG. */
function jpegSize(bytes: Buffer): { width: number; height: number } {
  for (let at = 2; at < bytes.length; at += 2 + bytes.readUInt16BE(at + 2)) {
    if (bytes[at] !== 0xff) break;
    if (bytes[at + 1] === 0xc0) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
  }
  throw new Error('not a JPEG picture');
}
