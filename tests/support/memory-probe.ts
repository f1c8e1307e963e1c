/** Loaded into the emulator's process by `NODE_OPTIONS=--import=...`: on a socket, named by TERRARIUM_MEMORY_PROBE, it tells each who
 *  connects what V8 holds after a full collection. Nothing of it is in the product. */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

const path = process.env.TERRARIUM_MEMORY_PROBE;
if (path && isMainThread) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  rmSync(path, { force: true });
  createServer((socket) => {
    // Twice: what the first frees may let go of more.
    collect();
    collect();
    socket.end(JSON.stringify(process.memoryUsage()));
  })
    .listen(path)
    .unref();
}
