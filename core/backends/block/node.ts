/** An opened medium: a format over a file. Formats are drivers by name; `raw` is the one there is yet. */
import { guessedRawWarning } from '../../options/messages.ts';
import { UserError } from '../../util/errors.ts';
import type { BlockHost, ByteSource } from './byte-source.ts';
import { HostIoError } from './byte-source.ts';

export const SECTOR = 512;

/** What opening a medium needs to know of a drive. */
export interface NodeOptions {
  readonly filename: string;
  /** Undefined: probe. */
  readonly format?: string | undefined;
  readonly isReadonly: boolean;
  readonly autoReadonly?: boolean;
  readonly cache: { readonly writeback: boolean; readonly direct: boolean; readonly noFlush: boolean };
  readonly detectZeroes: 'off' | 'on' | 'unmap';
  /** Settings that only the format or the protocol knows. */
  readonly rest: ReadonlyMap<string, string>;
}

/** The guest's view of a medium. */
export interface BlockNode {
  readonly nodeName: string;
  /** Of the file below. */
  readonly fileNodeName: string;
  readonly format: string;
  readonly options: NodeOptions;
  readonly source: ByteSource;
  readonly filename: string;
  /** The format's driver, `raw`. */
  readonly driver: string;
  /** Bytes on the host's disk. */
  readonly allocatedBytes: number;
  readonly cache: NodeOptions['cache'];
  readonly isReadonly: boolean;
  /** The first sector as it was when the medium was opened. */
  readonly head: Uint8Array;
  /** Bytes, a multiple of the sector size. */
  readonly size: number;
  /** Bytes as the format says. */
  readonly virtualSize: number;
  read(offset: number, target: Uint8Array): Promise<void>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

/** What a format's driver adds to a file. */
export type OpenedFormat = Pick<
  BlockNode,
  'format' | 'isReadonly' | 'size' | 'virtualSize' | 'read' | 'write' | 'flush' | 'close'
>;
export interface BlockDriver {
  readonly name: string;
  open(source: ByteSource, options: NodeOptions, wasProbed: boolean): OpenedFormat;
}

const FORMATS_NOT_YET = [
  ...['blkdebug', 'blklogwrites', 'blkreplay', 'blkverify', 'bochs', 'cloop', 'compress', 'copy-on-read', 'dmg'],
  ...['file', 'ftp', 'ftps', 'host_cdrom', 'host_device', 'http', 'https', 'iscsi', 'luks', 'nbd', 'nfs', 'null-aio'],
  ...['null-co', 'nvme', 'parallels', 'preallocate', 'qcow', 'qcow2', 'qed', 'quorum', 'rbd', 'replication', 'ssh'],
  ...['throttle', 'vdi', 'vhdx', 'vmdk', 'vpc', 'vvfat', 'gluster'],
];
const PROTOCOLS_NOT_YET = [
  'nbd',
  'nbd+unix',
  'http',
  'https',
  'ftp',
  'ftps',
  'ssh',
  'rbd',
  'iscsi',
  'nfs',
  'fat',
  'json',
];

const drivers = new Map<string, BlockDriver>();
export function registerBlockDriver(driver: BlockDriver): void {
  drivers.set(driver.name, driver);
}

/** What images of other formats begin with. */
const SIGNATURES: readonly (readonly [format: string, offset: number, text: string])[] = [
  ['qcow2', 0, 'QFI\xfb'],
  ['vmdk', 0, 'KDMV'],
  ['vmdk', 0, 'COWD'],
  ['vpc', 0, 'conectix'],
  ['vhdx', 0, 'vhdxfile'],
  ['qed', 0, 'QED\0'],
  ['parallels', 0, 'WithoutFreeSpace'],
  ['parallels', 0, 'WithouFreSpacExt'],
  ['luks', 0, 'LUKS\xba\xbe'],
  ['vdi', 0x40, '\x7f\x10\xda\xbe'],
];
/** The format that the first sector claims; null: none that is known. */
export function formatOf(sector: Uint8Array): string | null {
  const isAt = (offset: number, text: string) =>
    [...text].every((character, i) => sector[offset + i] === character.charCodeAt(0));
  return SIGNATURES.find(([, offset, text]) => isAt(offset, text))?.[0] ?? null;
}

let nextNumber = 0;
/** Names like QEMU's, which are not to be relied upon. */
function newNodeName(): string {
  nextNumber = (nextNumber + 1) % 1000;
  return `#block${String(nextNumber).padStart(3, '0')}`;
}

/** The file behind `file:NAME` or NAME. @throws UserError for other protocols */
export function filenameOf(text: string): string {
  const protocol = /^([A-Za-z0-9+.-]+):/.exec(text)?.[1];
  if (protocol === undefined || protocol.length === 1) return text;
  if (protocol === 'file') return text.slice(5);
  if (PROTOCOLS_NOT_YET.includes(protocol)) throw new UserError(`protocol '${protocol}': not supported yet`);
  throw new UserError(`Unknown protocol '${protocol}'`);
}

const FILE_OPTIONS = ['file.locking', 'file.aio', 'file.filename', 'file.driver', 'filename', 'node-name'];

/** Opens a medium. The first sector is read for probing unless a format is given; `head` gives it when the caller has it. @throws UserError in QEMU's words */
export function openNode(host: BlockHost, options: NodeOptions): BlockNode {
  const { format } = options;
  if (format !== undefined && !drivers.has(format) && !FORMATS_NOT_YET.includes(format))
    throw new UserError(`Unknown driver '${format}'`);
  const filename = filenameOf(options.filename);
  const source = host.open(filename, {
    isReadonly: options.isReadonly,
    ...(options.autoReadonly ? { autoReadonly: true } : {}),
  });
  try {
    const isProbed = format === undefined;
    const head = source.head(SECTOR);
    const claimed = formatOf(head);
    if (!isProbed && claimed !== format)
      if (SIGNATURES.some(([name]) => name === format)) throw new UserError(`Image is not in ${format} format`);
    const name = format ?? claimed ?? 'raw';
    const driver = drivers.get(name);
    if (!driver) throw new UserError(`format '${name}': not supported yet`);
    if (isProbed && name === 'raw' && !source.isReadonly) host.warn(guessedRawWarning(filename));
    const opened = driver.open(source, options, isProbed);
    const nodeName = options.rest.get('node-name') ?? newNodeName();
    const node: BlockNode = {
      ...opened,
      ...{ nodeName, fileNodeName: newNodeName(), head, options, source, driver: name },
      filename,
      cache: options.cache,
      get allocatedBytes() {
        return source.allocatedBytes;
      },
    };
    return node;
  } catch (error) {
    source.close();
    throw error;
  }
}

function parseBytes(options: NodeOptions, name: string): number | undefined {
  const text = options.rest.get(name);
  if (text === undefined) return undefined;
  const match = /^(\d+)([bkmgt]?)$/i.exec(text);
  if (!match) throw new UserError(`Parameter '${name}' expects a non-negative number below 2^64`);
  return Number(match[1]) * 1024 ** ' kmgt'.indexOf(match[2]!.toLowerCase().replace('b', '').padStart(1, ' '));
}

/** Bytes as they are; `offset` and `size` choose a part. Writes that would turn a guessed raw image into one of another format are refused. */
export const rawDriver: BlockDriver = {
  name: 'raw',
  open(source, options, wasProbed) {
    for (const name of options.rest.keys())
      if (name !== 'offset' && name !== 'size' && !FILE_OPTIONS.includes(name))
        throw new UserError(`Block format 'raw' does not support the option '${name}'`);
    const start = parseBytes(options, 'offset') ?? 0;
    if (start > source.size)
      throw new UserError(`Offset (${start}) cannot be greater than size of the containing file (${source.size})`);
    const length = parseBytes(options, 'size') ?? source.size - start;
    if (start + length > source.size)
      throw new UserError(
        `The sum of offset (${start}) and size (${length}) has to be smaller or equal to the  actual size of the containing file (${source.size})`,
      );
    const isOnlyLength = start + length === source.size;
    return {
      format: 'raw',
      isReadonly: source.isReadonly,
      size: Math.ceil(length / SECTOR) * SECTOR,
      virtualSize: length,
      async read(offset, target) {
        await source.readAt(start + offset, target);
        if (!isOnlyLength && offset + target.length > length) target.fill(0, Math.max(0, length - offset));
      },
      async write(offset, bytes) {
        if (wasProbed && offset < SECTOR && formatOf(bytes) !== null) throw new HostIoError('EPERM');
        await source.writeAt(start + offset, bytes.subarray(0, Math.max(0, length - offset)));
      },
      flush: () => source.flush(),
      close: () => source.close(),
    };
  },
};
registerBlockDriver(rawDriver);
