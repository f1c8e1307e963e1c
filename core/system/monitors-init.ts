/** Monitors on character devices (`-mon`, `-qmp`, `-monitor`) and VNC servers (`-vnc`). */
import type { Chardev } from '../backends/char/chardev.ts';
import type { MonitorHub } from '../monitor/monitor-hub.ts';
import type { MonitorOption } from '../options/command-line.ts';
import { LocatedError } from '../options/location.ts';
import type { ByteStream, Unsubscribe } from '../util/byte-stream.ts';
import type { Chardevs } from './chardev-init.ts';

/** One connection on a character device, seen as a byte stream: it begins when the device opens and ends when it closes. */
class ChardevConnection implements ByteStream {
  private readonly chardev: Chardev;
  private readonly dataListeners = new Set<(bytes: Uint8Array) => void>();
  private readonly closeListeners = new Set<() => void>();
  isClosed = false;

  constructor(chardev: Chardev) {
    this.chardev = chardev;
  }
  write(bytes: Uint8Array): void {
    if (!this.isClosed) this.chardev.write(bytes);
  }
  get queuedBytes(): number {
    return this.chardev.queuedBytes;
  }
  onData(listener: (bytes: Uint8Array) => void): Unsubscribe {
    this.dataListeners.add(listener);
    return () => this.dataListeners.delete(listener);
  }
  onDrain(listener: () => void): Unsubscribe {
    return this.chardev.onDrain(listener);
  }
  onClose(listener: () => void): Unsubscribe {
    this.closeListeners.add(listener);
    return () => this.closeListeners.delete(listener);
  }
  close(): void {
    if (!this.isClosed) this.chardev.close();
  }
  receive(bytes: Uint8Array): void {
    for (const listener of [...this.dataListeners]) listener(bytes);
  }
  ended(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const listener of [...this.closeListeners]) listener();
  }
}

/** Gives every connection that a character device will have to `serve`. */
export function serveChardev(chardev: Chardev, serve: (stream: ByteStream) => void): void {
  let connection: ChardevConnection | null = null;
  chardev.attach({
    canReceive: () => (connection ? 65536 : 0),
    receive: (bytes) => connection?.receive(bytes),
    event(event) {
      if (event === 'opened' && !connection) {
        connection = new ChardevConnection(chardev);
        serve(connection);
      } else if (event === 'closed') {
        connection?.ended();
        connection = null;
      }
    },
  });
}

/** @throws LocatedError for a monitor on a device that is not there or taken */
export function attachMonitors(hub: MonitorHub, monitors: readonly MonitorOption[], chardevs: Chardevs): void {
  for (const monitor of monitors) {
    const chardev = chardevs.find(monitor.chardev);
    if (!chardev) throw new LocatedError(monitor.location, `chardev "${monitor.chardev}" not found`);
    serveChardev(chardev, (stream) => {
      if (monitor.mode === 'control') hub.attachQmp(stream, { pretty: monitor.pretty });
      else hub.attachHmp(stream);
    });
  }
}
