/** A machine's life through the contract, with the real QEMU as VM process: what works with it works with our own. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import type {
  ApiMethod,
  ApiParams,
  ApiResult,
  MachineActivity,
  MachineDetails,
  MachineSummary,
} from '../../electron/api/contract.ts';
import { findPackageRoot } from '../../electron/app/host.ts';
import { Terrarium } from '../../electron/app/terrarium.ts';
import type { ChannelPeer } from '../../electron/machines/byte-channel.ts';
import { identifyProcess } from '../../electron/machines/process-identity.ts';
import { RunDirectory } from '../../electron/machines/run-directory.ts';
import { ChildLauncher } from '../../electron/machines/vm-launcher.ts';
import { writeProbeRom } from '../support/guest-programs.ts';
import { qemu, terrarium } from '../support/machine.ts';
import { sampleMachine, scratchFolder } from './sample-machine.ts';

const GRUB_RESCUE = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso';
const ENGINES = [
  ['real QEMU', qemu],
  ['our engine', terrarium],
] as const;
const opened: Terrarium[] = [];

afterEach(async () => {
  for (const app of opened.splice(0)) await app.close('powerOff');
  delete process.env.TERRARIUM_EMULATOR;
});

async function openApp(dataDir: string, emulator = 'qemu-system-x86_64'): Promise<Terrarium> {
  process.env.TERRARIUM_EMULATOR = emulator;
  const root = findPackageRoot(import.meta.dirname);
  const app = await Terrarium.open({ root, dataDir, launcher: new ChildLauncher(), shell: { kind: 'web' } });
  opened.push(app);
  return app;
}

/** Calls and unwraps: an error of the contract is thrown as it is. */
async function call<M extends ApiMethod>(app: Terrarium, method: M, params?: ApiParams<M>): Promise<ApiResult<M>> {
  const outcome = await app.call(method, params);
  if ('error' in outcome) throw outcome.error;
  return outcome.result as ApiResult<M>;
}

function whenMachine(app: Terrarium, id: string, test: (summary: MachineSummary) => boolean): Promise<MachineSummary> {
  return new Promise((resolve) => {
    const stop = app.onEvent((message) => {
      if (message.event !== 'machines.changed' || message.data.summary.id !== id || !test(message.data.summary)) return;
      stop();
      resolve(message.data.summary);
    });
  });
}

async function createGrubMachine(app: Terrarium, changes = {}): Promise<MachineDetails> {
  const storage = [{ kind: 'cdrom' as const, id: 'ide1-0', bus: 1 as const, unit: 0 as const, path: GRUB_RESCUE }];
  return call(app, 'machines.create', { definition: sampleMachine({ storage, ...changes }), newDisks: [] });
}

class Listener implements ChannelPeer {
  text = '';
  closed: string | undefined;
  private waiting: (() => void) | undefined;
  send(bytes: Uint8Array, done: () => void) {
    this.text += Buffer.from(bytes).toString('latin1');
    done();
    this.waiting?.();
  }
  pause() {}
  resume() {}
  close(reason: string) {
    this.closed = reason;
    this.waiting?.();
  }
  async until(test: () => boolean) {
    while (!test()) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
  }
}

describe('a machine', () => {
  it('starts, pauses, resumes, resets and is powered off, and is found again after a restart of the app', async () => {
    const dataDir = scratchFolder();
    const app = await openApp(dataDir);
    const created = await createGrubMachine(app, { name: 'Rescue' });
    const { id } = created.definition;
    expect(created.summary).toMatchObject({ state: 'off', failure: null, lastStartedAt: null });
    expect(created.issues).toEqual([]);

    const started = await call(app, 'machines.start', { id });
    expect(started.summary.state).toBe('running');
    expect(started.runtime?.drives).toEqual([
      { deviceId: 'ide1-0', path: GRUB_RESCUE, trayOpen: false, locked: false },
    ]);
    expect(started.runtime?.channels).toEqual({ console: true, serial: [0], monitor: true });
    expect(statSync(dirname(new RunDirectory(dataDir, id).endpoints.qmp)).mode & 0o777).toBe(0o700);
    await expect(call(app, 'machines.start', { id })).rejects.toMatchObject({ code: 'wrong-state' });
    await expect(call(app, 'machines.delete', { id, deleteFiles: [] })).rejects.toMatchObject({ code: 'wrong-state' });

    expect(await call(app, 'machines.pause', { id })).toMatchObject({ state: 'paused', pauseReason: 'user' });
    expect(await call(app, 'machines.resume', { id })).toMatchObject({ state: 'running', pauseReason: null });
    expect(await call(app, 'machines.reset', { id })).toMatchObject({ state: 'running' });
    const shot = await call(app, 'machines.screenshot', { id });
    expect(shot.width).toBeGreaterThan(300);
    expect(await call(app, 'machines.powerOff', { id })).toMatchObject({ state: 'off', failure: null });
    await expect(call(app, 'machines.pause', { id })).rejects.toMatchObject({ code: 'wrong-state' });
    expect(existsSync(new RunDirectory(dataDir, id).path)).toBe(false);

    await app.close();
    const again = await openApp(dataDir);
    const [found] = await call(again, 'machines.list');
    expect(found).toMatchObject({ id, name: 'Rescue', state: 'off' });
    expect((await call(again, 'machines.get', { id })).definition).toEqual(created.definition);
  });

  it('whose process is killed is reported as crashed, loses nothing, and starts again', async () => {
    const app = await openApp(scratchFolder());
    const { definition } = await createGrubMachine(app, { name: 'Victim' });
    const { id } = definition;
    const other = await createGrubMachine(app, { name: 'Bystander' });
    await call(app, 'machines.start', { id: other.definition.id });
    const { runtime } = await call(app, 'machines.start', { id });
    const crash = whenMachine(app, id, ({ state, failure }) => state === 'crashed' && failure !== null);
    process.kill(runtime!.pid, 'SIGKILL');
    const { failure } = await crash;
    expect(failure).toMatchObject({ kind: 'crashed', signal: 'SIGKILL', exitCode: null });
    expect(failure?.message).toMatch(/"Victim" ended unexpectedly: its process was ended by the signal SIGKILL/);
    const details = await call(app, 'machines.get', { id });
    expect(details.definition).toEqual(definition);
    expect(details.runtime).toBeNull();
    const { entries } = await call(app, 'machines.log', { id });
    expect(entries.at(-1)).toMatchObject({ source: 'manager', level: 'error', text: failure?.message });
    const bystander = await call(app, 'machines.get', { id: other.definition.id });
    expect(bystander.summary.state).toBe('running');

    expect((await call(app, 'machines.start', { id })).summary).toMatchObject({ state: 'running', failure: null });
  });

  it("that the engine refuses shows the engine's words as they are", async () => {
    const app = await openApp(scratchFolder());
    const { definition } = await createGrubMachine(app, { extraArguments: ['-device', 'no-such-device'] });
    const { id } = definition;
    const refusal = {
      code: 'engine',
      machineId: id,
      engineOutput: "qemu-system-x86_64: -device no-such-device: 'no-such-device' is not a valid device model name",
    };
    await expect(call(app, 'machines.start', { id })).rejects.toMatchObject(refusal);
    const { summary } = await call(app, 'machines.get', { id });
    expect(summary).toMatchObject({ state: 'off', failure: { kind: 'start-failed', exitCode: 1 } });
    expect(summary.failure?.engineOutput).toBe(refusal.engineOutput);
    expect((await call(app, 'machines.dismissFailure', { id })).failure).toBeNull();
  });

  it('whose engine is missing says where it was looked for', async () => {
    const app = await openApp(scratchFolder(), '/nowhere/engine');
    const { definition } = await createGrubMachine(app);
    const error = { code: 'engine', message: expect.stringContaining('/nowhere/engine') };
    await expect(call(app, 'machines.start', { id: definition.id })).rejects.toMatchObject(error);
    expect((await call(app, 'app.info')).engine).toMatchObject({ found: false });
  });

  it('with a disc that has gone is not started, and says which disc', async () => {
    const folder = scratchFolder();
    const iso = join(folder, 'gone.iso');
    writeFileSync(iso, readFileSync(GRUB_RESCUE).subarray(0, 65536));
    const app = await openApp(join(folder, 'data'));
    const storage = [{ kind: 'cdrom' as const, id: 'ide1-0', bus: 1 as const, unit: 0 as const, path: iso }];
    const { definition } = await createGrubMachine(app, { storage });
    rmSync(iso);
    const { issues } = await call(app, 'machines.get', { id: definition.id });
    expect(issues).toMatchObject([
      { path: 'storage.0.path', severity: 'error', message: expect.stringContaining(iso) },
    ]);
    const error = { code: 'invalid', message: expect.stringContaining(`${iso} failed: it does not exist`) };
    await expect(call(app, 'machines.start', { id: definition.id })).rejects.toMatchObject(error);
  });

  it('has its disc ejected and changed while it runs', async () => {
    const folder = scratchFolder();
    const second = join(folder, 'second, disc.iso');
    writeFileSync(second, readFileSync(GRUB_RESCUE));
    // A guest that leaves the drive alone: a reset of its channel, as firmware begins with, shuts the tray.
    const rom = join(folder, 'idle.rom');
    writeProbeRom(rom, []);
    const app = await openApp(join(folder, 'data'));
    const { definition } = await createGrubMachine(app, { extraArguments: ['-bios', rom] });
    const { id } = definition;
    await call(app, 'machines.start', { id });
    const ejected = await call(app, 'machines.changeMedium', { id, deviceId: 'ide1-0', path: null });
    expect(ejected.runtime?.drives[0]).toMatchObject({ path: null, trayOpen: true });
    expect(ejected.definition.storage[0]?.path).toBeNull();
    const changed = await call(app, 'machines.changeMedium', { id, deviceId: 'ide1-0', path: second });
    expect(changed.runtime?.drives[0]).toMatchObject({ path: second, trayOpen: false });
    expect(changed.runtime?.pendingChanges).toEqual([]);
    expect((await call(app, 'machines.get', { id })).definition.storage[0]?.path).toBe(second);
    const missing = { id, deviceId: 'ide1-0', path: join(folder, 'none.iso') };
    await expect(call(app, 'machines.changeMedium', missing)).rejects.toMatchObject({ code: 'not-found' });
    expect((await call(app, 'machines.get', { id })).definition.storage[0]?.path).toBe(second);
  });

  it.each(ENGINES)(
    'whose guest has locked the tray says so when the disc is asked for, on %s',
    async (_name, engine) => {
      const dataDir = scratchFolder();
      const rom = join(dataDir, 'lock.rom');
      const app = await openApp(dataDir, engine);
      // PACKET, then PREVENT MEDIUM REMOVAL; what is sent to the serial port at the end says that it is done.
      const out = (port: number, value: number, size: 1 | 2 = 1) => ({ out: size, port, value });
      writeProbeRom(rom, [
        ...[out(0x176, 0xa0), out(0x171, 0), out(0x174, 0), out(0x175, 0), out(0x177, 0xa0)],
        ...[0x1e, 0, 1, 0, 0, 0].map((word) => out(0x170, word, 2)),
        out(0x3f8, 0x4b),
      ]);
      const { definition } = await createGrubMachine(app, { extraArguments: ['-bios', rom] });
      const { id } = definition;
      await call(app, 'machines.start', { id, paused: true });
      const serial = new Listener();
      app.openChannel('serial', id, 0, serial);
      await call(app, 'machines.resume', { id });
      await serial.until(() => serial.text.includes('K'));
      const drives = async () => (await call(app, 'machines.get', { id })).runtime?.drives;
      const eject = (force: boolean) =>
        call(app, 'machines.changeMedium', { id, deviceId: 'ide1-0', path: null, force });
      await expect(eject(false)).rejects.toMatchObject({ code: 'engine' });
      expect(await drives()).toMatchObject([{ path: GRUB_RESCUE, locked: true }]);
      await eject(true);
      expect(await drives()).toMatchObject([{ path: null, trayOpen: true }]);
    },
  );

  it('answers on its console, its monitor and its serial port', async () => {
    const app = await openApp(scratchFolder());
    const { definition } = await createGrubMachine(app);
    const { id } = definition;
    expect(() => app.openChannel('console', id, 0, new Listener())).toThrow(/not running/);
    await call(app, 'machines.start', { id });
    const screen = new Listener();
    app.openChannel('console', id, 0, screen);
    await screen.until(() => screen.text.startsWith('RFB 003.00'));
    const [first, late] = [new Listener(), new Listener()];
    const monitor = app.openChannel('monitor', id, 0, first);
    monitor.receive(Buffer.from('info version\r'));
    await first.until(() => /\r\n\d+\.\d+\.\d+/.test(first.text));
    app.openChannel('monitor', id, 0, late);
    await late.until(() => late.text.includes('monitor - type')); // what was said before it came
    expect(() => app.openChannel('serial', id, 3, new Listener())).toThrow(/no such terminal/);
    app.openChannel('serial', id, 0, new Listener());
    await call(app, 'machines.powerOff', { id });
    await first.until(() => first.closed !== undefined);
    expect(first.closed).toBe('the machine closed the connection');
  });

  it('that switches itself off may stay to be looked at', async () => {
    const app = await openApp(scratchFolder());
    const power = { onGuestReboot: 'powerOff', onGuestShutdown: 'pause' };
    const { definition } = await createGrubMachine(app, { power });
    const { id } = definition;
    await call(app, 'machines.start', { id });
    const monitor = new Listener();
    const input = app.openChannel('monitor', id, 0, monitor);
    const stopped = whenMachine(app, id, ({ state }) => state === 'paused');
    input.receive(Buffer.from('o /b 0x64 0xfe\r')); // the keyboard controller pulses the reset line
    expect(await stopped).toMatchObject({ pauseReason: 'shutdown' });
    expect(await call(app, 'machines.powerOff', { id })).toMatchObject({ state: 'off', failure: null });
  });

  it.each(ENGINES)('is measured while somebody watches, as far as %s tells', async (_name, engine) => {
    const app = await openApp(scratchFolder(), engine);
    const extraArguments = engine === terrarium ? ['-accel', 'tcg,x-jit=on'] : [];
    const { definition } = await createGrubMachine(app, { extraArguments });
    const { id } = definition;
    await expect(call(app, 'machines.watchActivity', { id })).rejects.toMatchObject({ code: 'wrong-state' });
    const seen: MachineActivity[] = [];
    let enough: () => void = () => {};
    app.onEvent((message) => {
      if (message.event !== 'machines.activity') return;
      seen.push(message.data.activity);
      if (seen.length === 4) enough();
    });
    await call(app, 'machines.start', { id, paused: true });
    expect(seen).toEqual([]);
    const measured = new Promise<void>((resolve) => {
      enough = resolve;
    });
    await call(app, 'machines.watchActivity', { id });
    await call(app, 'machines.watchActivity', { id }); // measured once all the same
    await call(app, 'machines.resume', { id });
    await measured;
    const [first, ...later] = seen;
    expect(first).toMatchObject({ guestMips: null, hostCpuPercent: null });
    expect(first!.drives.map(({ deviceId }) => deviceId)).toEqual(['ide1-0']);
    // GRUB is read from the disc, and takes the processor its time.
    expect(Math.max(...later.map(({ drives }) => drives[0]!.readBytesPerSecond))).toBeGreaterThan(2048);
    for (const { hostCpuPercent, hostMemoryBytes, drives } of later) {
      expect(hostCpuPercent).toBeGreaterThanOrEqual(0);
      expect(hostMemoryBytes).toBeGreaterThan(10 << 20);
      expect(drives[0]!.writtenBytesPerSecond).toBe(0);
    }
    const speeds = later.map(({ guestMips }) => guestMips);
    if (engine === terrarium) expect(Math.max(...speeds.map(Number))).toBeGreaterThan(0.1);
    else expect(new Set(speeds)).toEqual(new Set([null])); // QEMU does not count instructions
    const compiled = later.map((activity) => activity.compiled);
    if (engine === terrarium) expect(Math.max(...compiled.map((code) => code?.regions ?? 0))).toBeGreaterThan(0);
    else expect(new Set(compiled)).toEqual(new Set([null]));
    await call(app, 'machines.powerOff', { id });
    await expect(call(app, 'machines.watchActivity', { id })).rejects.toMatchObject({ code: 'wrong-state' });
  });

  it('keeps running when the app is ended so, and is taken over by the next', async () => {
    const dataDir = scratchFolder();
    const app = await openApp(dataDir);
    const { definition } = await createGrubMachine(app);
    const { id } = definition;
    const { runtime } = await call(app, 'machines.start', { id });
    await app.close('keep');
    expect(() => process.kill(runtime!.pid, 0)).not.toThrow();
    const next = await openApp(dataDir);
    const taken = await call(next, 'machines.get', { id });
    expect(taken.summary.state).toBe('running');
    expect(taken.runtime?.pid).toBe(runtime!.pid);
    expect(await call(next, 'machines.powerOff', { id })).toMatchObject({ state: 'off', failure: null });
    expect(() => process.kill(runtime!.pid, 0)).toThrow();
  });
});

describe('a machine that ends while the app does', () => {
  it('is nobody’s concern any more', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    onTestFinished(() => void process.off('unhandledRejection', note));
    const app = await openApp(scratchFolder());
    const { definition } = await createGrubMachine(app);
    const { runtime } = await call(app, 'machines.start', { id: definition.id });
    process.kill(runtime!.pid, 'SIGKILL');
    // Its end has been seen when nothing answers to the number; its last words are still being waited for.
    while (isRunning(runtime!.pid)) await new Promise((resolve) => setImmediate(resolve));
    await app.close('keep');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(unhandled).toEqual([]);
  });
});

describe('an earlier manager that was killed', () => {
  it('leaves processes that do not answer: they are ended', async () => {
    const dataDir = scratchFolder();
    const app = await openApp(dataDir);
    const { definition } = await createGrubMachine(app);
    await app.close();
    const mute = spawn('sleep', ['600']);
    onTestFinished(() => void mute.kill('SIGKILL'));
    const gone = new Promise((resolve) => mute.on('exit', (_code, signal) => resolve(signal)));
    const directory = new RunDirectory(dataDir, definition.id);
    directory.prepare();
    const note = { machineId: definition.id, startedAt: Date.now(), definition };
    directory.writeNote(identifyProcess(mute.pid!)!, note);
    const next = await openApp(dataDir);
    expect(await gone).toBe('SIGTERM');
    expect((await call(next, 'machines.get', { id: definition.id })).summary.state).toBe('off');
  });

  it('leaves a note whose number now belongs to a stranger: the stranger is left alone', async () => {
    const dataDir = scratchFolder();
    const app = await openApp(dataDir);
    const { definition } = await createGrubMachine(app);
    await app.close();
    const stranger = spawn('sleep', ['600']);
    onTestFinished(() => void stranger.kill('SIGKILL'));
    const directory = new RunDirectory(dataDir, definition.id);
    directory.prepare();
    const note = { machineId: definition.id, startedAt: Date.now(), definition };
    directory.writeNote({ pid: stranger.pid!, startTime: 'an earlier boot/1234' }, note);
    const next = await openApp(dataDir);
    expect((await call(next, 'machines.get', { id: definition.id })).summary.state).toBe('off');
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    expect(() => process.kill(stranger.pid!, 0)).not.toThrow();
    expect(existsSync(directory.path)).toBe(false);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
