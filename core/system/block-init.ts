/** The drives of a machine: opened from `-drive` options, found by id, attached to the board's IDE channels. */
import { BlockBackend } from '../backends/block/block-backend.ts';
import type { BlockHost } from '../backends/block/byte-source.ts';
import { type BlockNode, openNode } from '../backends/block/node.ts';
import { type Bus, Device, deviceNew, deviceRealize } from '../hw/core/device.ts';
import type { DiskGeometry } from '../machines/pc-cmos.ts';
import { type DriveOptions, DriveTable } from '../options/drive-options.ts';
import { type Location, NO_LOCATION, withLocation } from '../options/location.ts';
import { GROUPS } from '../options/option-groups.ts';
import { QemuOpts } from '../options/qemu-opts.ts';
import { objectSet } from '../qom/object.ts';
import { assert, UserError } from '../util/errors.ts';
import type { SystemHost } from './host.ts';

/** A drive of the command line and what became of it. */
export interface Drive {
  readonly options: DriveOptions;
  readonly backend: BlockBackend;
  readonly location: Location;
}

/** `-drive index=2,media=cdrom`. */
function defaultCdromOptions(): QemuOpts {
  const opts = new QemuOpts(GROUPS.drive, undefined, NO_LOCATION);
  opts.set('index', '2');
  opts.set('media', 'cdrom');
  return opts;
}

/** IDE devices that were attached, by position: channel * 2 + unit. */
const IDE_POSITIONS = 4;

export class BlockSystem {
  readonly drives: Drive[] = [];
  private readonly unnamed: BlockBackend[] = [];
  readonly blockHost: BlockHost;
  /** Told how many requests are under way, all drives together. */
  requestsChanged: (pending: number) => void = () => {};
  private readonly ideDisks: (Device | null)[] = Array.from({ length: IDE_POSITIONS }, () => null);
  private ideBuses: readonly Bus[] = [];
  private readonly pendingBy = new Map<BlockBackend, number>();

  constructor(
    host: SystemHost,
    emit: (event: string, data: Readonly<Record<string, unknown>>) => void,
    requestStop: () => void,
  ) {
    this.blockHost = {
      open: (filename, options) => host.openImage(filename, options),
      warn: (text) => host.stderr(text.endsWith('\n') ? text : `${text}\n`),
      emit,
      requestStop,
      monotonicNs: () => host.time.monotonicNs(),
    };
  }

  find(id: string): BlockBackend | null {
    return this.drives.find((drive) => drive.backend.id === id)?.backend ?? null;
  }

  /** Named drives, then those that devices without one made for themselves. */
  get backends(): BlockBackend[] {
    return [...this.drives.map((drive) => drive.backend), ...this.unnamed];
  }
  newEmptyDrive(media: 'disk' | 'cdrom'): BlockBackend {
    const backend: BlockBackend = new BlockBackend(
      '',
      this.hostFor(() => backend),
      null,
      {
        media,
        isReadonly: media === 'cdrom',
      },
    );
    this.unnamed.push(backend);
    return backend;
  }
  /** The host as one drive sees it: its requests count towards the sum. */
  private hostFor(backend: () => BlockBackend): BlockHost {
    return {
      ...this.blockHost,
      requestsChanged: (pending) => {
        this.pendingBy.set(backend(), pending);
        let sum = 0;
        for (const count of this.pendingBy.values()) sum += count;
        this.requestsChanged(sum);
      },
    };
  }
  /** A medium for a drive that is already there. @throws UserError in QEMU's words */
  openMedium(backend: BlockBackend, filename: string, format: string | undefined, isReadonly: boolean): BlockNode {
    const options = this.drives.find((drive) => drive.backend === backend)?.options;
    return openNode(this.blockHost, {
      filename,
      format,
      isReadonly,
      cache: options?.cache ?? { writeback: true, direct: false, noFlush: false },
      detectZeroes: options?.detectZeroes ?? 'off',
      rest: new Map(),
    });
  }

  /** Opens every drive, in order. @throws UserError located at its option */
  openDrives(list: readonly QemuOpts[]): void {
    const table = new DriveTable('ide');
    for (const opts of list)
      withLocation(opts.location, () => {
        const options = table.resolve(opts);
        this.drives.push({ options, backend: this.open(options), location: opts.location });
      });
  }
  /** The empty CD drive that a PC has unless something is in its place: secondary master, `ide1-cd0`. */
  addDefaultCdrom(): void {
    const isTaken = this.drives.some(
      ({ options }) => options.interface === 'ide' && options.bus === 1 && options.unit === 0,
    );
    if (isTaken) return;
    const options = new DriveTable('ide').resolve(defaultCdromOptions());
    this.drives.push({ options, backend: this.open(options), location: NO_LOCATION });
  }
  private open(options: DriveOptions): BlockBackend {
    const opened =
      options.file === undefined
        ? null
        : openNode(this.blockHost, {
            filename: options.file,
            format: options.format,
            isReadonly: options.readOnly,
            autoReadonly: options.autoReadOnly,
            cache: options.cache,
            detectZeroes: options.detectZeroes,
            rest: options.rest,
          });
    const backend: BlockBackend = new BlockBackend(
      options.id,
      this.hostFor(() => backend),
      opened,
      {
        readError: options.readError,
        writeError: options.writeError,
        writeThrough: !options.cache.writeback,
        noFlush: options.cache.noFlush,
        media: options.media,
        isReadonly: options.readOnly,
      },
    );
    return backend;
  }

  /** Makes `ide-hd` and `ide-cd` of the drives with `if=ide`; a default CD drive is the caller's business. What goes wrong here is the board's, without a location, as in QEMU. */
  attachIdeDrives(buses: readonly Bus[]): void {
    this.ideBuses = buses;
    for (const { options, backend } of this.drives) {
      if (options.interface !== 'ide') continue;
      const bus = buses[options.bus];
      if (!bus) continue;
      const device = deviceNew(Device, options.media === 'cdrom' ? 'ide-cd' : 'ide-hd');
      objectSet(device, 'drive', backend.id);
      objectSet(device, 'unit', options.unit);
      deviceRealize(device, bus);
    }
  }

  /** Drives that the board was to place and did not. @throws UserError located at the first one's option */
  checkOrphans(): void {
    for (const { options, backend, location } of this.drives)
      if (!backend.device && options.interface !== 'none')
        withLocation(location, () => {
          const { interface: kind, bus, unit } = options;
          throw new UserError(`machine type does not support if=${kind},bus=${bus},unit=${unit}`);
        });
  }

  /** What CMOS says of the IDE disks. */
  diskGeometries(): (DiskGeometry | null)[] {
    this.ideBuses.forEach((bus, channel) => {
      for (const device of bus.children) {
        const unit = Number(device.propertyValue('unit'));
        assert(unit < 2, 'an IDE channel has two units');
        this.ideDisks[channel * 2 + unit] = device;
      }
    });
    return this.ideDisks.map((device) => {
      const geometry = (device as (Device & { biosGeometry?(): DiskGeometry | null }) | null)?.biosGeometry?.();
      return geometry ?? null;
    });
  }

  /** The machine goes on: requests that stopped it are tried again. */
  resume(): void {
    for (const backend of this.backends) backend.resume();
  }
  async close(): Promise<void> {
    await Promise.all(this.backends.map((backend) => backend.drain()));
    for (const backend of this.backends) backend.close();
  }
}
