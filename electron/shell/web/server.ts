/** The web shell: the app for a browser on the same computer. Loopback only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ChannelKind, UploadReply } from '../../api/contract.ts';
import { contentSecurityPolicy } from '../../app/page-files.ts';
import type { Terrarium } from '../../app/terrarium.ts';
import { Access } from './access.ts';
import { serveApi, serveChannel } from './sockets.ts';
import { serveFile } from './static-files.ts';
import { receiveUpload } from './upload.ts';

const LARGEST_CALL = 1024 * 1024;
const LARGEST_CHUNK = 4 * 1024 * 1024;
const CHANNEL = /^\/channel\/(?:(console|monitor)\/([0-9a-f-]{36})|(serial)\/([0-9a-f-]{36})\/([0-3]))$/;

export interface WebShell {
  /** With the token: what the user opens. */
  readonly url: string;
  readonly origin: string;
  readonly token: string;
  close(): Promise<void>;
}

/** `rendererDir`: the built renderer. Port 0 takes a free one. */
export async function startWebShell(app: Terrarium, rendererDir: string, port: number): Promise<WebShell> {
  const access = new Access();
  const calls = new WebSocketServer({ noServer: true, maxPayload: LARGEST_CALL, perMessageDeflate: false });
  const channels = new WebSocketServer({ noServer: true, maxPayload: LARGEST_CHUNK, perMessageDeflate: false });
  const server = createServer((request, response) => {
    void answer(app, access, rendererDir, request, response).catch(() => response.destroy());
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {}); // a window that goes away is no error
    const verdict = access.judge(request, true);
    if (!verdict.allowed) return refuseUpgrade(socket, verdict.status, verdict.reason);
    const pathname = addressOf(request, access)?.pathname;
    if (pathname === undefined) return refuseUpgrade(socket, 400, 'Bad request');
    if (pathname === '/api') return calls.handleUpgrade(request, socket, head, (ws) => serveApi(app, ws));
    const match = CHANNEL.exec(pathname);
    if (!match) return refuseUpgrade(socket, 404, 'Not found');
    const kind = (match[1] ?? match[3]) as ChannelKind;
    const id = match[2] ?? match[4] ?? '';
    channels.handleUpgrade(request, socket, head, (ws) => serveChannel(app, ws, kind, id, Number(match[5] ?? 0)));
  });
  await listen(server, port);
  access.listensOn((server.address() as AddressInfo).port);
  return {
    url: `${access.origin}/?token=${access.token}`,
    origin: access.origin,
    token: access.token,
    close: async () => {
      for (const socket of [...calls.clients, ...channels.clients]) socket.terminate();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(
  app: Terrarium,
  access: Access,
  rendererDir: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = addressOf(request, access);
  if (!url) return refuse(response, 400, 'Bad request');
  const sockets = access.origin.replace('http', 'ws');
  const alias = sockets.replace('127.0.0.1', 'localhost');
  response.setHeader('content-security-policy', contentSecurityPolicy(`'self' ${sockets} ${alias}`));
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cross-origin-opener-policy', 'same-origin');
  response.setHeader('cross-origin-resource-policy', 'same-origin');
  const isUpload = request.method === 'POST' && url.pathname === '/upload';
  if (!isUpload && request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'Not allowed');
  const verdict = access.judge(request, isUpload);
  const bringsToken = url.pathname === '/' && access.isToken(url.searchParams.get('token'));
  if (bringsToken && (verdict.allowed || verdict.status !== 421)) {
    response.writeHead(303, { location: '/', 'set-cookie': access.cookie, 'cache-control': 'no-store' }).end();
    return;
  }
  if (!verdict.allowed) return refuse(response, verdict.status, verdict.reason);
  if (!isUpload) return serveFile(rendererDir, url.pathname, request, response);
  const reply: UploadReply = await receiveUpload(app, request, url.searchParams.get('name') ?? '').then(
    (medium) => ({ medium }),
    (error) => ({ error: app.describeError(error) }),
  );
  if (response.destroyed) return;
  response.writeHead('error' in reply ? 400 : 200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(reply));
}

/** Null for a request line whose target is no address (`GET // HTTP/1.1`). */
function addressOf(request: IncomingMessage, access: Access): URL | null {
  return URL.parse(request.url ?? '/', access.origin);
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    connection: 'close',
  });
  response.end(`${reason}\n`);
}

function refuseUpgrade(socket: Duplex, status: number, reason: string): void {
  const body = `${reason}\n`;
  const head = `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}
