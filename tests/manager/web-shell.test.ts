/** Who may talk to the web shell, and what it does with those who may: over real sockets. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { ApiErrorData, UploadReply } from '../../electron/api/contract.ts';
import { findPackageRoot } from '../../electron/app/host.ts';
import { Terrarium } from '../../electron/app/terrarium.ts';
import { ChildLauncher } from '../../electron/machines/vm-launcher.ts';
import { startWebShell, type WebShell } from '../../electron/shell/web/server.ts';
import { sampleMachine, scratchFolder } from './sample-machine.ts';

const GRUB_RESCUE = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso';

interface Served {
  shell: WebShell;
  app: Terrarium;
  folder: string;
  port: number;
}

async function serve(): Promise<Served> {
  const folder = scratchFolder();
  const rendererDir = join(folder, 'renderer');
  mkdirSync(join(rendererDir, 'assets'), { recursive: true });
  writeFileSync(join(rendererDir, 'index.html'), '<title>The page</title>');
  writeFileSync(join(rendererDir, 'assets', 'a.js'), '1');
  writeFileSync(join(folder, 'secret.txt'), 'not for the web');
  const app = await Terrarium.open({
    root: findPackageRoot(import.meta.dirname),
    dataDir: join(folder, 'data'),
    launcher: new ChildLauncher(),
    shell: { kind: 'web' },
  });
  const shell = await startWebShell(app, rendererDir, 0);
  onTestFinished(async () => {
    await app.close('powerOff');
    await shell.close();
  });
  return { shell, app, folder, port: Number(new URL(shell.origin).port) };
}

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** Plain HTTP, so that Host, Origin and path are exactly what the test says. */
function ask(port: number, path: string, headers: Record<string, string> = {}, method = 'GET', body?: Buffer) {
  return new Promise<Answer>((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode = 0, headers: received } = response;
        resolve({ status: statusCode, headers: received, body: Buffer.concat(chunks).toString() });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** The socket once it is open, or the HTTP status that refused it. */
function connect(url: string, headers: Record<string, string>): Promise<WebSocket | number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers });
    socket.on('open', () => resolve(socket));
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    socket.on('error', reject);
  });
}

function nextMessage(socket: WebSocket): Promise<{ id?: number; result?: unknown; error?: ApiErrorData }> {
  return new Promise((resolve) => socket.once('message', (data) => resolve(JSON.parse(String(data)))));
}

const cookieOf = ({ shell, port }: Served) => ({ cookie: `terrarium-${port}=${shell.token}` });

describe('the page', () => {
  it('is given to whoever has the token, which becomes a cookie', async () => {
    const served = await serve();
    const { port, shell } = served;
    expect((await ask(port, '/')).status).toBe(403);
    expect((await ask(port, '/?token=wrong')).status).toBe(403);
    expect((await ask(port, '/assets/a.js')).status).toBe(403);
    const entry = await ask(port, `/?token=${shell.token}`);
    expect(entry.status).toBe(303);
    expect(entry.headers.location).toBe('/');
    expect(entry.headers['set-cookie']).toEqual([
      `terrarium-${port}=${shell.token}; Path=/; HttpOnly; SameSite=Strict`,
    ]);
    const page = await ask(port, '/', cookieOf(served));
    expect(page).toMatchObject({ status: 200, body: '<title>The page</title>' });
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toMatch(/default-src 'none'; script-src 'self';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect((await ask(port, '/assets/a.js', cookieOf(served))).headers['content-type']).toMatch(/^text\/javascript/);
  });

  it.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/..%2f..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
    '/%00',
    '/%',
  ])('gives away no other file: %s', async (path) => {
    const served = await serve();
    expect(existsSync(join(served.folder, 'secret.txt'))).toBe(true);
    expect(await ask(served.port, path, cookieOf(served))).toMatchObject({ status: 404 });
  });

  it('is not given under a foreign name, even with the right token', async () => {
    const served = await serve();
    const { port, shell } = served;
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1', `127.0.0.1:${port + 1}`]) {
      expect((await ask(port, '/', { ...cookieOf(served), host })).status, host).toBe(421);
      expect((await ask(port, `/?token=${shell.token}`, { host })).status, host).toBe(421);
    }
    expect((await ask(port, '/', { ...cookieOf(served), host: `localhost:${port}` })).status).toBe(200);
  });

  it('is read only', async () => {
    const served = await serve();
    for (const method of ['PUT', 'DELETE', 'POST', 'OPTIONS']) {
      expect((await ask(served.port, '/', cookieOf(served), method)).status).toBe(405);
    }
  });
});

describe('the sockets', () => {
  const paths = ['/api', '/channel/console/00000000-0000-4000-8000-000000000000'];
  it.each(paths)('%s want cookie and own origin, or the token in a header', async (path) => {
    const served = await serve();
    const { shell, port } = served;
    const url = `ws://127.0.0.1:${port}${path}`;
    const cookie = cookieOf(served);
    expect(await connect(url, {})).toBe(403);
    expect(await connect(url, cookie), 'a cookie without an origin').toBe(403);
    expect(await connect(url, { origin: shell.origin }), 'an origin without a cookie').toBe(403);
    expect(await connect(url, { ...cookie, origin: 'http://evil.example' })).toBe(403);
    expect(await connect(url, { ...cookie, origin: `http://127.0.0.1:${port + 1}` })).toBe(403);
    expect(await connect(url, { ...cookie, origin: 'null' })).toBe(403);
    expect(await connect(url, { 'x-terrarium-token': 'wrong' })).toBe(403);
    expect(await connect(url, { 'x-terrarium-token': shell.token, origin: 'http://evil.example' })).toBe(403);
    expect(await connect(url, { ...cookie, origin: shell.origin, host: 'evil.example' })).toBe(421);
    expect(await connect(`ws://127.0.0.1:${port}/nowhere`, { ...cookie, origin: shell.origin })).toBe(404);
    expect(await connect(url, { ...cookie, origin: shell.origin })).toBeInstanceOf(WebSocket);
    expect(await connect(url, { 'x-terrarium-token': shell.token })).toBeInstanceOf(WebSocket);
  });

  it('carry calls, errors and events, and survive wrong calls', async () => {
    const { shell, port } = await serve();
    const socket = (await connect(`ws://127.0.0.1:${port}/api`, { 'x-terrarium-token': shell.token })) as WebSocket;
    const call = async (method: string, params?: unknown) => {
      const answer = nextMessage(socket);
      socket.send(JSON.stringify({ id: 7, method, params }));
      return answer;
    };
    expect(await call('machines.list')).toEqual({ id: 7, result: [] });
    expect((await call('no.such.method')).error).toMatchObject({ code: 'unsupported' });
    expect((await call('constructor')).error).toMatchObject({ code: 'unsupported' });
    expect((await call('machines.get', { id: 'x' })).error).toMatchObject({
      code: 'invalid',
      issues: [{ path: 'id' }],
    });
    expect((await call('machines.get', { id: sampleMachine().id })).error).toMatchObject({ code: 'not-found' });
    expect((await call('settings.update', { settings: { theme: 'pink' } })).error).toMatchObject({ code: 'invalid' });
    const spare = await call('machines.create', { definition: { ...sampleMachine(), spare: 1 }, newDisks: [] });
    expect(spare.error).toMatchObject({ code: 'invalid' });
    expect(await call('settings.update', { settings: { theme: 'dark' } })).toMatchObject({ event: 'settings.changed' });
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    socket.send('not JSON');
    expect(await closed).toBe(1003);
  });

  it('say why a channel cannot be opened', async () => {
    const { shell, port, app } = await serve();
    const definition = sampleMachine({ name: 'Quiet' });
    expect(await app.call('machines.create', { definition, newDisks: [] })).toHaveProperty('result');
    const url = `ws://127.0.0.1:${port}/channel/console/${definition.id}`;
    const socket = (await connect(url, { 'x-terrarium-token': shell.token })) as WebSocket;
    const reason = await new Promise((resolve) => socket.on('close', (code, text) => resolve(`${code} ${text}`)));
    expect(reason).toBe('1011 "Quiet" is not running.');
  });
});

describe('an upload', () => {
  const send = (served: Served, name: string, body: Buffer, headers: Record<string, string> = {}) =>
    ask(served.port, `/upload?name=${encodeURIComponent(name)}`, { ...cookieOf(served), ...headers }, 'POST', body);

  it('lands in the media folder, under a name that is free, and is known as what it is', async () => {
    const served = await serve();
    const iso = readFileSync(GRUB_RESCUE);
    const origin = { origin: served.shell.origin };
    const first = await send(served, '../../rescue.iso', iso, origin);
    const { medium } = JSON.parse(first.body) as Extract<UploadReply, { medium: unknown }>;
    expect(medium).toMatchObject({ kind: 'iso', fileName: 'rescue.iso', sizeBytes: iso.length, owned: true });
    expect(medium.path).toBe(join(served.app.mediaDir, 'rescue.iso'));
    expect(readFileSync(medium.path).equals(iso)).toBe(true);
    await send(served, 'rescue.iso', iso, origin);
    expect(readdirSync(served.app.mediaDir).sort()).toEqual(['rescue-2.iso', 'rescue.iso']);
  });

  it('is refused from elsewhere, when empty and when it breaks off, and leaves nothing behind', async () => {
    const served = await serve();
    const body = Buffer.from('x'.repeat(1000));
    expect((await send(served, 'a.iso', body)).status).toBe(403);
    expect((await send(served, 'a.iso', body, { origin: 'http://evil.example' })).status).toBe(403);
    const empty = await send(served, 'a.iso', Buffer.alloc(0), { origin: served.shell.origin });
    expect(empty.status).toBe(400);
    const headers = { ...cookieOf(served), origin: served.shell.origin, 'content-length': '5000' };
    await new Promise<void>((resolve) => {
      const options = { host: '127.0.0.1', port: served.port, path: '/upload?name=b.iso', method: 'POST', headers };
      const request = httpRequest(options);
      request.on('error', () => resolve());
      request.write(body, () => request.destroy());
      request.on('close', () => resolve());
    });
    await expect.poll(() => readdirSync(served.app.mediaDir)).toEqual([]);
  });
});
