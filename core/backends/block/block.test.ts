import { describe, expect, it } from 'vitest';
import { BlockBackend, BlockError } from './block-backend.ts';
import { type BlockHost, MemorySource } from './byte-source.ts';
import { filenameOf, formatOf, type NodeOptions, openNode } from './node.ts';

function fakeHost(source: MemorySource) {
  const events: string[] = [];
  const pending: number[] = [];
  const warnings: string[] = [];
  const host: BlockHost = {
    open: () => source,
    emit: (event, data) => void events.push(`${event} ${data.action ?? data['tray-open']}`),
    warn: (text) => void warnings.push(text),
    requestStop: () => void events.push('stop'),
    monotonicNs: () => 5,
    requestsChanged: (count) => void pending.push(count),
  };
  return { host, events, pending, warnings };
}
const options = (changes: Partial<NodeOptions> = {}): NodeOptions => ({
  filename: 'x.img',
  format: 'raw',
  isReadonly: false,
  cache: { writeback: true, direct: false, noFlush: false },
  detectZeroes: 'off',
  rest: new Map(),
  ...changes,
});
const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => i & 0xff);

describe('raw media', () => {
  it('give zeroes beyond the end of a file that is no whole number of sectors', async () => {
    const { host } = fakeHost(new MemorySource(bytes(700)));
    const node = openNode(host, options());
    expect([node.size, node.virtualSize]).toEqual([1024, 700]);
    const sector = new Uint8Array(512).fill(0xee);
    await node.read(512, sector);
    expect([sector[187], sector[188], sector[511]]).toEqual([bytes(700)[699], 0, 0]);
  });

  it('can be a part of a file', async () => {
    const source = new MemorySource(bytes(4096));
    const { host } = fakeHost(source);
    const node = openNode(
      host,
      options({
        rest: new Map([
          ['offset', '1k'],
          ['size', '1024'],
        ]),
      }),
    );
    expect(node.size).toBe(1024);
    const sector = new Uint8Array(2);
    await node.read(3, sector);
    expect([...sector]).toEqual([3, 4]);
    await node.write(1022, Uint8Array.of(9, 9, 9, 9));
    expect([...source.bytes.subarray(2046, 2050)]).toEqual([9, 9, 0, 1]);
    const bad = (rest: [string, string][]) => () => openNode(host, options({ rest: new Map(rest) }));
    expect(bad([['offset', '8k']])).toThrow('Offset (8192) cannot be greater than size of the containing file (4096)');
    expect(bad([['size', '8k']])).toThrow('has to be smaller or equal');
    expect(bad([['nosuch', '1']])).toThrow("Block format 'raw' does not support the option 'nosuch'");
  });

  it('are guessed with a warning, and then guard their first sector', async () => {
    const { host, warnings } = fakeHost(new MemorySource(new Uint8Array(1024)));
    const node = openNode(host, options({ format: undefined }));
    expect(warnings[0]).toContain("WARNING: Image format was not specified for 'x.img' and probing guessed raw.\n   ");
    const header = new Uint8Array(512);
    header.set([0x51, 0x46, 0x49, 0xfb]);
    await expect(node.write(0, header)).rejects.toThrow('EPERM');
    await node.write(512, header);
    const readonly = fakeHost(new MemorySource(new Uint8Array(1024), 'x', true));
    openNode(readonly.host, options({ format: undefined, isReadonly: true }));
    expect(readonly.warnings).toEqual([]);
  });

  it('of other formats and protocols are refused in QEMU’s words', () => {
    const { host } = fakeHost(new MemorySource(new Uint8Array(1024)));
    expect(() => openNode(host, options({ format: 'nosuch' }))).toThrow("Unknown driver 'nosuch'");
    expect(() => openNode(host, options({ format: 'qcow2' }))).toThrow('Image is not in qcow2 format');
    expect(() => filenameOf('nosuch:abc')).toThrow("Unknown protocol 'nosuch'");
    expect(() => filenameOf('nbd:localhost')).toThrow('not supported yet');
    expect(filenameOf('file:a:b')).toBe('a:b');
    expect(filenameOf('./a:b')).toBe('./a:b');
    const image = new Uint8Array(1024);
    image.set([0x51, 0x46, 0x49, 0xfb]);
    expect(formatOf(image)).toBe('qcow2');
    const { host: other } = fakeHost(new MemorySource(image));
    expect(() => openNode(other, options({ format: undefined }))).toThrow("format 'qcow2': not supported yet");
  });
});

describe('BlockBackend', () => {
  function backend(source = new MemorySource(bytes(4096)), changes = {}) {
    const fake = fakeHost(source);
    const drive = new BlockBackend('d0', fake.host, openNode(fake.host, options()), changes);
    return { ...fake, drive, source };
  }

  it('counts requests and knows when it is idle', async () => {
    const { drive, pending, source } = backend();
    const reading = drive.read(0, new Uint8Array(1024));
    const writing = drive.write(512, new Uint8Array(512));
    expect(drive.pendingRequests).toBe(2);
    await drive.drain();
    await Promise.all([reading, writing, drive.flush()]);
    expect(drive.statistics.read).toMatchObject({ bytes: 1024, operations: 1 });
    expect([drive.statistics.highestWrite, source.flushes]).toEqual([1024, 1]);
    expect(pending.at(-1)).toBe(0);
  });

  it('refuses requests without a medium or beyond its end', async () => {
    const { drive } = backend();
    await expect(drive.read(4000, new Uint8Array(512))).rejects.toThrow(BlockError);
    drive.setNode(null);
    await expect(drive.read(0, new Uint8Array(512))).rejects.toThrow('ENOMEDIUM');
    expect(drive.statistics.read.invalid).toBe(2);
  });

  it('does with errors what the drive says', async () => {
    const ignoring = backend(undefined, { readError: 'ignore', writeError: 'stop' });
    ignoring.source.failWith = 'EIO';
    await ignoring.drive.read(0, new Uint8Array(512));
    const write = ignoring.drive.write(0, Uint8Array.of(1));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(ignoring.events).toEqual(['BLOCK_IO_ERROR ignore', 'BLOCK_IO_ERROR stop', 'stop']);
    ignoring.source.failWith = null;
    ignoring.drive.resume();
    await write;
    expect(ignoring.source.bytes[0]).toBe(1);
    const reporting = backend();
    reporting.source.failWith = 'EIO';
    await expect(reporting.drive.write(0, Uint8Array.of(1))).rejects.toThrow('EIO');
    expect(reporting.events).toEqual(['BLOCK_IO_ERROR report']);
  });

  it('writes through when told to', async () => {
    const { drive, source } = backend(undefined, { writeThrough: true });
    await drive.write(0, Uint8Array.of(1));
    expect(source.flushes).toBe(1);
  });

  it('belongs to one device', () => {
    const { drive } = backend();
    const device = { qdevId: 'a', qomPath: '/a', isRemovable: false };
    drive.attach(device);
    expect(() => drive.attach(device)).toThrow("Drive 'd0' is already in use by another device");
    drive.detach();
    drive.attach(device);
  });

  it('tells of a tray that moves', () => {
    const { drive, events } = backend();
    let isOpen = false;
    drive.attach({
      ...{ qdevId: '', qomPath: '/machine/x', isRemovable: true },
      isTrayOpen: () => isOpen,
      mediumChanged: (isInserted) => {
        isOpen = !isInserted;
      },
    });
    drive.changeMedium(false);
    drive.changeMedium(false);
    drive.changeMedium(true);
    expect(events).toEqual(['DEVICE_TRAY_MOVED true', 'DEVICE_TRAY_MOVED false']);
  });
});
