/** The web shell against pages and programs that mean harm: whatever comes, it refuses or answers, and goes on serving. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { apiParams } from '../../electron/api/contract.ts';
import { findPackageRoot } from '../../electron/app/host.ts';
import { Terrarium } from '../../electron/app/terrarium.ts';
import { ChildLauncher } from '../../electron/machines/vm-launcher.ts';
import { startWebShell, type WebShell } from '../../electron/shell/web/server.ts';
import { sampleMachine } from '../manager/sample-machine.ts';
import { Random } from './random.ts';

const folder = mkdtempSync(join(tmpdir(), 'terrarium-hostility-'));
let app: Terrarium;
let shell: WebShell;
let port: number;
const internalErrors: unknown[] = [];

beforeAll(async () => {
  const rendererDir = join(folder, 'renderer');
  mkdirSync(rendererDir);
  writeFileSync(join(rendererDir, 'index.html'), '<title>The page</title>');
  writeFileSync(join(folder, 'secret.txt'), 'not for the web');
  app = await Terrarium.open({
    root: findPackageRoot(import.meta.dirname),
    dataDir: join(folder, 'data'),
    launcher: new ChildLauncher(),
    shell: { kind: 'web' },
    onInternalError: (error) => internalErrors.push(error),
  });
  shell = await startWebShell(app, rendererDir, 0);
  port = Number(new URL(shell.origin).port);
});
afterAll(async () => {
  await app.close('powerOff');
  await shell.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends bytes as they are; what came back until the server hung up, or for a short while. */
function raw(bytes: Uint8Array | string, waitMs = 300): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes));
    const end = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('data', (data) => {
      answer += data.toString('latin1');
      if (answer.length > 100_000) end();
    });
    socket.on('error', () => {});
    socket.on('close', end);
    setTimeout(end, waitMs);
  });
}
const isAlive = async () => {
  const answer = await raw(
    `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Terrarium-Token: ${shell.token}\r\nConnection: close\r\n\r\n`,
  );
  return answer.includes('The page');
};
function open(path = '/api'): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { 'x-terrarium-token': shell.token } });
    socket.on('open', () => resolve(socket));
    socket.on('error', reject);
  });
}

describe('the web shell', () => {
  it('stands request lines and headers of any kind', async () => {
    const token = `X-Terrarium-Token: ${shell.token}\r\n`;
    const host = `Host: 127.0.0.1:${port}\r\n`;
    const upgrade =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
    for (const target of [
      '//',
      'http://[',
      'http://:99999/',
      '*',
      '/%',
      '/\\..\\secret.txt',
      '//evil.example/secret.txt',
      '/api/..',
      '/channel/serial/x/9',
      '/api?'.padEnd(9000, 'a'),
    ])
      for (const headers of [
        host,
        token,
        host + token,
        host + token + upgrade,
        host + upgrade,
        `${host + token}Content-Length: -5\r\n`,
      ]) {
        const answer = await raw(`GET ${target} HTTP/1.1\r\n${headers}\r\n`, 150);
        expect(answer, target).not.toContain('not for the web');
        expect(answer, target).not.toMatch(/^HTTP\/1.1 500/);
        if (!headers.includes(token)) expect(answer, target).not.toMatch(/^HTTP\/1.1 (200|101)/);
      }
    for (const path of [
      '/../secret.txt',
      '/..%2fsecret.txt',
      '/%2e%2e%2fsecret.txt',
      '/./../secret.txt',
      '/renderer/../../secret.txt',
    ])
      expect(await raw(`GET ${path} HTTP/1.1\r\n${host}${token}Connection: close\r\n\r\n`)).not.toContain(
        'not for the web',
      );
    expect(await isAlive()).toBe(true);
  }, 60_000);

  it('stands noise instead of HTTP and of WebSocket frames', async () => {
    const random = new Random(1);
    const upgrade = `GET /api HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Terrarium-Token: ${shell.token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
    for (let i = 0; i < 40; i++) {
      const noise = random.bytes(random.between(1, 400));
      await raw(random.chance(0.3) ? noise : Buffer.concat([Buffer.from(upgrade), noise]), 60);
    }
    // A frame that announces more than anyone may send.
    expect(
      await raw(Buffer.concat([Buffer.from(upgrade), Uint8Array.of(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4)])),
    ).toMatch(/101/);
    expect(await isAlive()).toBe(true);
  }, 60_000);

  it('answers calls with hostile arguments by errors of the contract', async () => {
    const random = new Random(2);
    const socket = await open();
    const waiting = new Map<number, (answer: { error?: { code: string } }) => void>();
    socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      waiting.get(message.id)?.(message);
    });
    const values: unknown[] = [
      ...[
        null,
        true,
        -1,
        1e308,
        0.5,
        '',
        '/',
        '../../etc/passwd',
        '/dev/zero',
        '/proc/self/mem',
        '\u0000',
        'x'.repeat(20_000),
        '\ud800',
      ],
      ...[
        [],
        {},
        { __proto__: null, id: 1 },
        sampleMachine(),
        '00000000-0000-4000-8000-000000000000',
        ['/etc/passwd'],
        { theme: {} },
      ],
    ];
    const keys = [
      'id',
      'path',
      'definition',
      'settings',
      'filter',
      'folder',
      'fileName',
      'sizeBytes',
      'keys',
      'text',
      'deviceId',
      'guest',
      'name',
      'before',
      'limit',
      'newDisks',
      'deleteFiles',
      'paused',
    ];
    const methods = Object.keys(apiParams).filter((name) => name !== 'files.pick');
    const codes = new Set<string>();
    for (let id = 1; id <= 600; id++) {
      const params = random.chance(0.1)
        ? random.pick(values)
        : Object.fromEntries(
            Array.from({ length: random.between(0, 4) }, () => [random.pick(keys), random.pick(values)]),
          );
      const method = random.chance(0.95)
        ? random.pick(methods)
        : random.pick(['__proto__', 'constructor', '', 'toString', 'x'.repeat(5000)]);
      const answer = new Promise<{ error?: { code: string } }>((resolve) => waiting.set(id, resolve));
      socket.send(JSON.stringify({ id, method, params }));
      const { error } = await answer;
      waiting.delete(id);
      if (error) codes.add(error.code);
    }
    expect(internalErrors).toEqual([]);
    expect([...codes]).not.toContain('internal');
    expect(codes).toContain('invalid');
    socket.terminate();
    expect(await isAlive()).toBe(true);
  }, 60_000);

  it('hangs up on what is no call, too long or too deep', async () => {
    for (const message of [
      '',
      '[]',
      'null',
      '{"id":"1","method":"a"}',
      '['.repeat(500_000),
      'x'.repeat(2 << 20),
      Buffer.from([0xff, 0xfe]),
    ]) {
      const socket = await open();
      const closed = new Promise<number>((resolve) => socket.on('close', resolve));
      socket.on('error', () => {});
      socket.send(message);
      expect([1003, 1006, 1009]).toContain(await closed);
    }
    expect(await isAlive()).toBe(true);
  }, 60_000);

  it('deletes no file by a path that only seems to lie in its folders', async () => {
    const victim = join(folder, 'victim.img');
    writeFileSync(victim, new Uint8Array(1024));
    const definition = sampleMachine({
      storage: [
        { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, path: `${app.mediaDir}/../../victim.img`, format: 'raw' },
      ],
    });
    expect(await app.call('machines.create', { definition, newDisks: [] })).toHaveProperty('result');
    const { path } = definition.storage[0]!;
    expect(existsSync(path!)).toBe(true);
    const plan = await app.call('machines.deletionPlan', { id: definition.id });
    expect(plan).toMatchObject({ result: { files: [{ owned: false }] } });
    const outcome = await app.call('machines.delete', { id: definition.id, deleteFiles: [path] });
    expect(outcome).toMatchObject({ error: { code: 'invalid' } });
    expect(existsSync(victim)).toBe(true);
  });

  it('stores no upload outside of the media folder, whatever its name', async () => {
    for (const name of [
      '../../evil.iso',
      '/etc/evil.iso',
      '..',
      '.',
      '',
      '..\\evil.iso',
      'a/../../b.iso',
      '\u0000x.iso',
      'x'.repeat(5000),
    ]) {
      const body = 'not a disc';
      await raw(
        `POST /upload?name=${encodeURIComponent(name)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Terrarium-Token: ${shell.token}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
    const huge = await raw(
      `POST /upload?name=a.iso HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Terrarium-Token: ${shell.token}\r\nContent-Length: 99999999999999\r\n\r\nx`,
    );
    expect(huge).toMatch(/^HTTP\/1.1 400.*no-space/s);
    for (const place of [folder, tmpdir(), '/etc']) expect(existsSync(join(place, 'evil.iso'))).toBe(false);
    expect(await isAlive()).toBe(true);
  }, 30_000);
});
