/** The real machine `pc` in this process, on a host that is all memory and whose clock is wound by hand. */
import { HostIoError, MemorySource } from '../../core/backends/block/byte-source.ts';
import { ManualTime } from '../../core/clock/clock.ts';
import { setEnvironment } from '../../core/hw/core/environment.ts';
import { addressSpaces } from '../../core/memory/address-space.ts';
import { nodeHost } from '../../core/node/host.ts';
import { type ParsedCommandLine, parseCommandLine } from '../../core/options/command-line.ts';
import { resetObjectRoot } from '../../core/qom/object.ts';
import { createBlockControl } from '../../core/system/block-control.ts';
import type { SystemHost } from '../../core/system/host.ts';
import { qemuInit, type System } from '../../core/system/qemu-init.ts';
import { UserError } from '../../core/util/errors.ts';

/** An image whose host fails when a test says so: errors, and a file that someone truncates while it is in use. */
export class FragileSource extends MemorySource {
  /** Reads beyond this fail as those of a truncated file may. */
  truncatedTo = Number.POSITIVE_INFINITY;
  override async readAt(offset: number, target: Uint8Array): Promise<void> {
    if (offset + target.length > this.truncatedTo) throw new HostIoError('EIO');
    await super.readAt(offset, target);
  }
}

export interface WholeBoard {
  readonly system: System;
  readonly time: ManualTime;
  readonly images: ReadonlyMap<string, FragileSource>;
  readonly control: ReturnType<typeof createBlockControl>;
  /** Moves time on; every timer fires at its own moment. @throws when that takes more than `limit` timers */
  advance(ns: number, limit?: number): void;
  /** Lets promises of the host come true. */
  settle(): Promise<void>;
  dispose(): void;
}

export async function wholeBoard(
  args: readonly string[],
  media: Readonly<Record<string, Uint8Array>>,
): Promise<WholeBoard> {
  resetObjectRoot();
  const time = new ManualTime();
  const images = new Map(Object.entries(media).map(([name, bytes]) => [name, new FragileSource(bytes, name)]));
  const host: SystemHost = {
    ...nodeHost,
    time,
    loop: { soon() {}, after: () => () => {}, monotonicNs: () => time.ns },
    stderr() {},
    stdout() {},
    async writeFile() {},
    openWriter: () => () => {},
    openLog: () => () => {},
    listen: () => Promise.reject(new UserError('no network here')),
    connect: () => Promise.reject(new UserError('no network here')),
    readFile() {
      throw new UserError('No such file or directory');
    },
    openImage(filename) {
      const image = images.get(filename);
      if (!image) throw new UserError(`Could not open '${filename}': No such file or directory`);
      return image;
    },
  };
  const command = parseCommandLine(['-nodefaults', '-vga', 'std', ...args], {
    program: 'terrarium-x86_64',
    version: '0',
    readFile: () => ({ error: 'No such file or directory' }),
    warn() {},
    userConfigFiles: [],
  }) as ParsedCommandLine;
  const system = await qemuInit(command, host);
  const { clocks } = system.env;
  clocks.start();
  return {
    system,
    time,
    images,
    control: createBlockControl(system.block),
    advance(ns, limit = 100_000) {
      const end = time.ns + ns;
      for (let fired = 0; ; fired++) {
        if (fired > limit) throw new Error(`more than ${limit} timers in ${ns} ns`);
        const next = Math.min(
          ...[clocks.virtual, clocks.realtime].map((clock) =>
            clock.deadlineNs === null
              ? Number.POSITIVE_INFINITY
              : time.ns + Math.max(0, clock.deadlineNs - clock.now()),
          ),
        );
        if (next > end) break;
        time.ns = next;
        clocks.virtual.runTimers();
        clocks.realtime.runTimers();
        clocks.host.runTimers();
      }
      time.ns = end;
      clocks.host.runTimers();
    },
    async settle() {
      for (let i = 0; i < 8; i++) await new Promise((done) => setImmediate(done));
    },
    dispose() {
      for (const space of addressSpaces()) space.dispose();
      setEnvironment(null);
      resetObjectRoot();
    },
  };
}
