/** What PS/2 keyboard and mouse have in common: a queue towards the controller and a line that says that there is something in it. */
import type { FieldKind, Fields } from '../../vmstate/fields.ts';
import { i32, named, vmstate } from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { type Ps2Common, QUEUE_LIMIT, queueCheck, queueClear, queuePop, queueReply, REPLY_ROOM } from './ps2-queue.ts';

export const ACK = 0xfa;
export const RESEND = 0xfe;
export const SELF_TEST_PASSED = 0xaa;
export const NO_COMMAND = -1;

/** Where in the queue the replies end that overtook the rest; -1 without any. */
export const REPLY_QUEUE = vmstate('ps2kbd/command_reply_queue', 0, {
  cwptr: named('parent_obj.queue.cwptr', i32(-1)),
});

export interface Ps2Fields extends Fields {
  readonly parent_obj: FieldKind<Ps2Common>;
}

export abstract class Ps2Device<F extends Ps2Fields> extends Device<Record<never, never>, F> {
  /** High while bytes wait for the controller. */
  readonly irq = this.outPin();
  readonly replyQueue = REPLY_QUEUE.create();
  private lastSent = 0;

  protected get queue(): Ps2Common {
    return (this.state as { parent_obj: Ps2Common }).parent_obj;
  }
  protected updateIrq(): void {
    this.irq.set(this.queue.count > 0 ? 1 : 0);
  }
  protected reply(...bytes: number[]): void {
    const { queue } = this;
    // A host of replies that nobody fetches: the new one replaces them.
    if (queue.count + bytes.length > QUEUE_LIMIT + REPLY_ROOM) this.clearQueue();
    const replies = this.replyCount;
    queueReply(queue, bytes, replies);
    this.setReplyCount(replies + bytes.length);
    this.updateIrq();
  }
  private get replyCount(): number {
    const { cwptr } = this.replyQueue;
    return cwptr < 0 ? 0 : (cwptr - this.queue.rptr) & 0xff;
  }
  private setReplyCount(count: number): void {
    this.replyQueue.cwptr = count === 0 ? -1 : (this.queue.rptr + count) & 0xff;
  }
  protected clearQueue(): void {
    queueClear(this.queue);
    this.replyQueue.cwptr = -1;
  }
  /** The other side did not understand: the last byte once more. */
  protected resend(): void {
    this.reply(this.lastSent);
  }
  /** The controller takes a byte. */
  read(): number {
    const replies = this.replyCount;
    this.lastSent = queuePop(this.queue);
    this.setReplyCount(Math.max(0, replies - 1));
    this.irq.lower(); // every byte is news
    this.taken();
    this.updateIrq();
    return this.lastSent;
  }
  /** There is room in the queue again. */
  protected taken(): void {}
  /** The controller sends a byte. */
  abstract write(byte: number): void;

  override reset(): void {
    super.reset();
    REPLY_QUEUE.reset(this.replyQueue);
  }
  postLoad(): void {
    queueCheck(this.queue);
    if (this.replyCount > this.queue.count) this.setReplyCount(0);
  }
}

export const ps2DeviceType = deviceType({ name: 'ps2-device', parent: 'sys-bus-device', abstract: true });
