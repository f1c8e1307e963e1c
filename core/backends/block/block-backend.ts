/** A drive as a device sees it: the medium that is in it, requests and their errors, tray and lock, statistics. The name is QEMU's. */
import { UserError } from '../../util/errors.ts';
import { type BlockHost, HostIoError } from './byte-source.ts';
import type { BlockNode } from './node.ts';

export type ErrorAction = 'ignore' | 'report' | 'stop' | 'enospc';

/** What a drive asks of the device that it is in. */
export interface BlockDeviceOps {
  /** As in events and `info block`: the id, else the path in the tree. */
  readonly qdevId: string;
  readonly qomPath: string;
  readonly isRemovable: boolean;
  isTrayOpen?(): boolean;
  isMediumLocked?(): boolean;
  /** The monitor wants the medium out and the tray is locked: ask the guest. */
  requestEject?(isForced: boolean): void;
  /** A medium has come (true) or gone. */
  mediumChanged?(isInserted: boolean): void;
}

export interface RequestStatistics {
  bytes: number;
  operations: number;
  failed: number;
  invalid: number;
  totalNs: number;
}
export interface BlockStatistics {
  readonly read: RequestStatistics;
  readonly write: RequestStatistics;
  readonly flush: RequestStatistics;
  highestWrite: number;
  /** When the last request ended; null: never. */
  lastAccessNs: number | null;
}
const noRequests = (): RequestStatistics => ({ bytes: 0, operations: 0, failed: 0, invalid: 0, totalNs: 0 });

/** A request that failed and that the device must report to its guest. */
export class BlockError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.name = 'BlockError';
    this.code = code;
  }
}

export interface BackendOptions {
  readonly readError?: ErrorAction;
  readonly writeError?: ErrorAction;
  readonly writeThrough?: boolean;
  readonly noFlush?: boolean;
  readonly media?: 'disk' | 'cdrom';
  readonly isReadonly?: boolean;
}

const NO_HOST: BlockHost = {
  open() {
    throw new UserError('No medium can be inserted');
  },
  warn() {},
  emit() {},
  requestStop() {},
  monotonicNs: () => 0,
};

export class BlockBackend {
  readonly id: string;
  private readonly host: BlockHost;
  readonly options: BackendOptions;
  node: BlockNode | null;
  device: BlockDeviceOps | null = null;
  /** Whose `drive` property names it: taken before the device is realized. */
  owner: object | null = null;
  readError: ErrorAction;
  writeError: ErrorAction;
  ioStatus: 'ok' | 'failed' | 'nospace' = 'ok';
  /** The device wants failures to be told to the user. */
  isIoStatusEnabled = false;
  isWriteThrough: boolean;
  readonly statistics: BlockStatistics = {
    read: noRequests(),
    write: noRequests(),
    flush: noRequests(),
    highestWrite: 0,
    lastAccessNs: null,
  };
  private pending = 0;
  /** Requests that wait for the machine to go on. */
  private stopped: (() => void)[] = [];
  private idle: (() => void)[] = [];

  constructor(id: string, host: BlockHost, node: BlockNode | null, options: BackendOptions = {}) {
    this.id = id;
    this.host = host;
    this.node = node;
    this.options = options;
    this.readError = options.readError ?? 'report';
    this.writeError = options.writeError ?? 'enospc';
    this.isWriteThrough = options.writeThrough ?? false;
  }

  /** A drive that nobody configured: a tray with nothing in it. */
  static empty(): BlockBackend {
    return new BlockBackend('', NO_HOST, null);
  }

  /** A device takes the drive. @throws UserError when another has it, or has its file */
  attach(device: BlockDeviceOps): void {
    if (this.device) throw new UserError(`Drive '${this.id}' is already in use by another device`);
    this.node?.source.lock?.();
    this.device = device;
  }
  detach(): void {
    this.device = null;
    this.owner = null;
  }

  get isInserted(): boolean {
    return this.node !== null;
  }
  get isReadonly(): boolean {
    return this.node ? this.node.isReadonly : (this.options.isReadonly ?? false);
  }
  /** Bytes; 0 without a medium. */
  get size(): number {
    return this.node?.size ?? 0;
  }
  get pendingRequests(): number {
    return this.pending;
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.request('read', offset, target.length, (node) => node.read(offset, target));
  }
  /** The caller must not change the bytes before the promise settles. */
  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.request('write', offset, bytes.length, async (node) => {
      if (node.isReadonly) throw new HostIoError('EPERM');
      await node.write(offset, bytes);
      if (this.isWriteThrough && !this.options.noFlush) await node.flush();
    });
  }
  flush(): Promise<void> {
    return this.request('flush', 0, 0, async (node) => {
      if (!node.isReadonly && !this.options.noFlush) await node.flush();
    });
  }

  private async request(
    kind: 'read' | 'write' | 'flush',
    offset: number,
    length: number,
    run: (node: BlockNode) => Promise<void>,
  ): Promise<void> {
    const statistics = this.statistics[kind];
    this.count(1);
    try {
      for (;;) {
        const { node } = this;
        if (!node || offset < 0 || offset + length > node.size) {
          statistics.invalid++;
          throw new BlockError(node ? 'EIO' : 'ENOMEDIUM');
        }
        const startNs = this.host.monotonicNs();
        try {
          await run(node);
          statistics.bytes += length;
          statistics.operations++;
          if (kind === 'write') this.statistics.highestWrite = Math.max(this.statistics.highestWrite, offset + length);
          return;
        } catch (error) {
          if (!(error instanceof HostIoError)) throw error;
          statistics.failed++;
          const action = this.actionFor(kind === 'read', error.code);
          this.announce(kind === 'read', error, action);
          if (action === 'ignore') return;
          if (action === 'report') throw new BlockError(error.code);
          await this.untilResumed(error.code);
        } finally {
          const nowNs = this.host.monotonicNs();
          statistics.totalNs += nowNs - startNs;
          this.statistics.lastAccessNs = nowNs;
        }
      }
    } finally {
      this.count(-1);
    }
  }
  private count(change: number): void {
    this.pending += change;
    this.host.requestsChanged?.(this.pending);
    if (this.pending === 0) for (const done of this.idle.splice(0)) done();
  }

  private actionFor(isRead: boolean, code: string): 'ignore' | 'report' | 'stop' {
    const wanted = isRead ? this.readError : this.writeError;
    if (wanted === 'enospc') return code === 'ENOSPC' ? 'stop' : 'report';
    return wanted;
  }
  private announce(isRead: boolean, error: HostIoError, action: 'ignore' | 'report' | 'stop'): void {
    this.host.emit('BLOCK_IO_ERROR', {
      device: this.id,
      'node-name': this.node?.nodeName ?? '',
      operation: isRead ? 'read' : 'write',
      action,
      nospace: error.code === 'ENOSPC',
      reason: error.message,
    });
  }
  private untilResumed(code: string): Promise<void> {
    if (this.isIoStatusEnabled && this.ioStatus === 'ok') this.ioStatus = code === 'ENOSPC' ? 'nospace' : 'failed';
    this.host.requestStop();
    return new Promise((resolve) => this.stopped.push(resolve));
  }
  /** The machine goes on: requests that stopped it are tried again. */
  resume(): void {
    this.ioStatus = 'ok';
    for (const retry of this.stopped.splice(0)) retry();
  }
  /** Resolves when no request is under way. */
  drain(): Promise<void> {
    return this.pending === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve));
  }

  get isTrayOpen(): boolean {
    return this.device?.isTrayOpen?.() ?? false;
  }
  get isLocked(): boolean {
    return this.device?.isMediumLocked?.() ?? false;
  }
  get isRemovable(): boolean {
    return this.device ? this.device.isRemovable : true;
  }
  /** Puts another medium in (or none); the old one is closed when its requests are done. @throws UserError when someone else has the file; nothing has changed then */
  setNode(node: BlockNode | null): void {
    if (this.device) node?.source.lock?.();
    const old = this.node;
    this.node = node;
    if (old) void this.drain().then(() => old.close());
  }
  /** Tells the device that the medium has come or gone; tells the world that the tray moved, if it did. */
  changeMedium(isInserted: boolean): void {
    const wasOpen = this.isTrayOpen;
    this.device?.mediumChanged?.(isInserted);
    if (this.isTrayOpen !== wasOpen) this.trayMoved(this.isTrayOpen);
  }
  /** DEVICE_TRAY_MOVED; devices call it too when the guest moved the tray. */
  trayMoved(isOpen: boolean): void {
    this.host.emit('DEVICE_TRAY_MOVED', {
      device: this.id,
      id: this.device ? this.device.qdevId || this.device.qomPath : '',
      'tray-open': isOpen,
    });
  }
  /** The guest ejected the medium. */
  ejectedByGuest(isOpen: boolean): void {
    this.trayMoved(isOpen);
  }
  close(): void {
    this.setNode(null);
  }
}
