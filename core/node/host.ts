/** The machine's host on Node. */
import { openSync, promises, readFileSync, writeFileSync, writeSync } from 'node:fs';
import type { LinearMemory } from '../memory/arena.ts';
import type { SystemHost } from '../system/host.ts';
import { UserError } from '../util/errors.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { nodeCompression } from './compression.ts';
import { engineModules } from './engine-modules.ts';
import { openImage } from './file-source.ts';
import { findFirmware, firmwareFolders } from './firmware.ts';
import { openStored } from './stored-file.ts';
import { connect, errorText, listen, openPipe, openWriter, stdio } from './streams.ts';
import { nodeLoop, nodeTime } from './time.ts';

declare const __TERRARIUM_VERSION__: string | undefined;
export const VERSION = typeof __TERRARIUM_VERSION__ === 'string' ? __TERRARIUM_VERSION__ : '0.1.0';
export const PROGRAM = 'terrarium-x86_64';

/** All of it is reserved address space: pages are committed as they are touched. */
const MAXIMUM_PAGES = 65536;

/** Writes at once: what is said before an exit must be read. */
function say(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // Nobody is listening.
  }
}

/** Takes 15 ms of a start to load, for what few machines need. */
const crypto = () => process.getBuiltinModule('node:crypto');

/** Programs of other threads lie beside the entry, as bundles or as sources. */
const isBundle = import.meta.url.endsWith('.cjs');
const COMPILE_WORKER = new URL(isBundle ? '../compile-worker.mjs' : './compile-worker.ts', import.meta.url);

export const nodeHost: SystemHost = {
  program: PROGRAM,
  version: VERSION,
  processId: process.pid,
  time: nodeTime,
  loop: nodeLoop,
  compression: nodeCompression,
  newMemory: () =>
    new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared: true }) as unknown as LinearMemory,
  startCompiler: (setup) => startCompilerThread(COMPILE_WORKER, setup),
  get instantiate() {
    return engineModules();
  },
  stderr: (text) => say(2, text),
  stdout: (text) => say(1, text),
  readFile(path) {
    try {
      const { buffer, byteOffset, length } = readFileSync(path);
      return new Uint8Array(buffer, byteOffset, length);
    } catch (error) {
      throw new UserError(errorText(error));
    }
  },
  openFile(path) {
    try {
      return openStored(path, (why) => say(2, `${PROGRAM}: ${why}\n`));
    } catch (error) {
      throw new UserError(errorText(error));
    }
  },
  async writeFile(path, bytes) {
    try {
      await promises.writeFile(path, bytes);
    } catch (error) {
      throw new UserError(errorText(error));
    }
  },
  firmwareFolders,
  findFirmware,
  openLog(path) {
    try {
      writeFileSync(path, '');
      const fd = openSync(path, 'a');
      return (text) => say(fd, text);
    } catch (error) {
      throw new UserError(errorText(error));
    }
  },
  listen,
  connect,
  stdio,
  openPipe,
  openWriter,
  openImage,
  randomBytes: (count) => crypto().randomFillSync(new Uint8Array(count)),
  sha1: (bytes) => new Uint8Array(crypto().createHash('sha1').update(bytes).digest()),
  after(milliseconds, task) {
    const timeout = setTimeout(task, milliseconds);
    return () => clearTimeout(timeout);
  },
};
