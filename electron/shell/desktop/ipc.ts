/** The contract over Electron's IPC: calls, events, and byte channels as MessagePorts. */
import { type BrowserWindow, ipcMain, MessageChannelMain, type MessagePortMain, type WebFrameMain } from 'electron';
import { z } from 'zod';
import type { ApiErrorData } from '../../api/contract.ts';
import type { Terrarium } from '../../app/terrarium.ts';
import type { ChannelInput } from '../../machines/byte-channel.ts';
import { IPC } from './ipc-names.ts';
import { PAGE_ORIGIN } from './page.ts';

const openChannelSchema = z.tuple([
  z.enum(['console', 'serial', 'monitor']),
  z.uuid(),
  z.int().min(0).max(3),
  z.string().max(100),
]);

export function serveIpc(app: Terrarium, window: () => BrowserWindow | undefined): void {
  ipcMain.handle(IPC.call, (event, method: unknown, params: unknown) => {
    if (!isOurPage(event.senderFrame)) return { error: foreign() };
    return app.call(String(method), params);
  });
  ipcMain.on(IPC.openChannel, (event, ...args: unknown[]) => {
    const parsed = openChannelSchema.safeParse(args);
    if (!isOurPage(event.senderFrame) || !parsed.success) return;
    const [kind, id, port, ticket] = parsed.data;
    const { port1, port2 } = new MessageChannelMain();
    event.sender.postMessage(IPC.channel, ticket, [port2]);
    join(port1, (peer) => app.openChannel(kind, id, port, peer));
  });
  app.onEvent((message) => {
    const target = window();
    if (target && !target.isDestroyed()) target.webContents.send(IPC.event, message);
  });
}

/** A MessagePort has no notion of full: what is posted counts as sent, and `byte-channel.ts` bounds the other way. */
function join(port: MessagePortMain, open: (peer: Parameters<Terrarium['openChannel']>[3]) => ChannelInput): void {
  let input: ChannelInput | undefined;
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    port.postMessage(null);
    setTimeout(() => port.close(), 100).unref(); // closing at once may overtake the last message
  };
  port.on('message', ({ data }) => {
    if (data instanceof ArrayBuffer) input?.receive(new Uint8Array(data));
    else if (ArrayBuffer.isView(data)) input?.receive(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    else if (data === null) port.close();
  });
  port.on('close', () => {
    isOpen = false;
    input?.closed();
  });
  port.start();
  try {
    input = open({
      send: (bytes, done) => {
        // A copy of its own: the socket's buffer is pooled, and structured cloning would take the whole pool along.
        if (isOpen) port.postMessage(Uint8Array.from(bytes).buffer);
        setImmediate(done);
      },
      pause: () => {},
      resume: () => {},
      close,
    });
  } catch {
    close(); // the call that the page makes next says why
  }
}

function isOurPage(frame: WebFrameMain | null): boolean {
  return frame !== null && frame.parent === null && frame.url.startsWith(`${PAGE_ORIGIN}/`);
}

function foreign(): ApiErrorData {
  return { code: 'unsupported', message: 'This page does not belong to Terrarium.' };
}
