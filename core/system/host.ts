/** What a machine needs of the host that it runs on. Node's is in `core/node`; a test or a web page brings its own. */

import type { Instantiate } from '../accel/tcg/interpreter/machine.ts';
import type { CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';
import type { BlockHost } from '../backends/block/byte-source.ts';
import type { HostStream } from '../backends/char/chardev.ts';
import type { HostTime } from '../clock/clock.ts';
import type { LinearMemory } from '../memory/arena.ts';
import type { StreamListener, Unsubscribe } from '../util/byte-stream.ts';
import type { CompressionService } from '../util/compression.ts';
import type { AnyBytes } from '../util/stored-bytes.ts';
import type { LoopHost } from './main-loop.ts';

/** Where something listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'inet'; readonly host: string; readonly port: number; readonly to: number | undefined };

export interface BoundListener extends StreamListener {
  /** The address as it came to be, for query-vnc. */
  readonly host: string;
  readonly service: string;
  readonly family: 'ipv4' | 'ipv6' | 'unix';
}

export interface SystemHost {
  readonly program: string;
  readonly version: string;
  readonly processId: number;
  readonly time: HostTime;
  readonly loop: LoopHost;
  readonly compression: CompressionService;
  newMemory(): LinearMemory;
  /** Starts a thread that compiles guest code. Without it that is done where the guest runs. */
  startCompiler?(setup: CompilerSetup): CompilerThread;
  /** Makes instances of the engine's own modules; without it they are made anew. */
  readonly instantiate?: Instantiate | undefined;
  stderr(text: string): void;
  stdout(text: string): void;
  /** @throws UserError whose message is the reason alone (`No such file or directory`) */
  readFile(path: string): Uint8Array;
  /** A file that is read as it is needed, and stays open; what is no ordinary file is read at once. @throws UserError as readFile does */
  openFile(path: string): AnyBytes;
  /** The promise fails with a UserError as readFile does. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Folders that are searched for firmware, `-L` ones first. */
  firmwareFolders(fromOptions: readonly string[]): string[];
  findFirmware(name: string, folders: readonly string[]): Uint8Array | null;
  /** Opens a log file (truncating) and gives its writer. @throws UserError */
  openLog(path: string): (text: string) => void;
  /** Resolves when it listens. The promise fails with a UserError whose message is the reason. */
  listen(address: ListenAddress): Promise<BoundListener>;
  /** Connects a client socket. The promise fails as that of `listen`. */
  connect(address: ListenAddress): Promise<HostStream>;
  /** The terminal or pipe that the program was started on; raw mode is undone at exit. With `signal` Ctrl-C still ends the program. */
  stdio(signal: boolean): HostStream;
  /** The two ends of named pipes `PATH.in` and `PATH.out`, or of one two-way pipe. @throws UserError */
  openPipe(path: string): HostStream;
  /** Appends to or replaces a file. @throws UserError */
  openWriter(path: string, append: boolean): (bytes: Uint8Array) => void;
  /** Opens images. */
  readonly openImage: BlockHost['open'];
  randomBytes(count: number): Uint8Array;
  sha1(bytes: Uint8Array): Uint8Array;
  after(milliseconds: number, task: () => void): Unsubscribe;
}
