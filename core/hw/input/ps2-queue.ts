/** The output queue that PS/2 devices have in common, kept in their saved state. Replies to commands overtake what waits behind them. */
import { buffer, i32, named, vmstate } from '../../vmstate/fields.ts';

const CAPACITY = 256;
/** How much a device queues at most: real ones have 16 bytes. */
export const QUEUE_LIMIT = 16;
/** Replies may go beyond that. */
export const REPLY_ROOM = 8;

export const PS2_COMMON = vmstate(
  'PS2 Common State',
  3,
  {
    write_cmd: i32(-1, 'Command that waits for its parameter'),
    rptr: named('queue.rptr', i32()),
    wptr: named('queue.wptr', i32()),
    count: named('queue.count', i32()),
    data: named('queue.data', buffer(CAPACITY)),
  },
  { minimumVersion: 2 },
);
export type Ps2Common = ReturnType<typeof PS2_COMMON.create>;

export const queueRoom = (q: Ps2Common): number => Math.max(0, QUEUE_LIMIT - q.count);

export function queueClear(q: Ps2Common): void {
  q.rptr = q.wptr = q.count = 0;
}
/** All of the bytes or none. */
export function queuePush(q: Ps2Common, bytes: readonly number[]): boolean {
  if (bytes.length > queueRoom(q)) return false;
  for (const byte of bytes) {
    q.data[q.wptr] = byte;
    q.wptr = (q.wptr + 1) % CAPACITY;
    q.count++;
  }
  return true;
}
/** Puts a reply behind the `replies` bytes of earlier ones and in front of everything else. */
export function queueReply(q: Ps2Common, bytes: readonly number[], replies: number): void {
  for (let i = q.count - 1; i >= replies; i--)
    q.data[(q.rptr + i + bytes.length) % CAPACITY] = q.data[(q.rptr + i) % CAPACITY]!;
  bytes.forEach((byte, i) => {
    q.data[(q.rptr + replies + i) % CAPACITY] = byte;
  });
  q.count += bytes.length;
  q.wptr = (q.rptr + q.count) % CAPACITY;
}
/** The next byte; from an empty queue the last one again, which some programs rely on. */
export function queuePop(q: Ps2Common): number {
  if (q.count === 0) return q.data[(q.rptr + CAPACITY - 1) % CAPACITY]!;
  const byte = q.data[q.rptr]!;
  q.rptr = (q.rptr + 1) % CAPACITY;
  q.count--;
  return byte;
}
/** Makes a loaded queue sane, whatever the file said. */
export function queueCheck(q: Ps2Common): void {
  if (q.rptr >= 0 && q.rptr < CAPACITY && q.count >= 0 && q.count <= QUEUE_LIMIT + REPLY_ROOM)
    q.wptr = (q.rptr + q.count) % CAPACITY;
  else queueClear(q);
}
