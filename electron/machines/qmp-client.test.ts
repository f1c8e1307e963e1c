import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import { QmpClient, type QmpEvent } from './qmp-client.ts';

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 9}, "package": ""}, "capabilities": []}}\r\n';

type Behaviour = (command: { execute: string; id: number }, socket: Socket) => void;

/** An engine's QMP end: greets, accepts qmp_capabilities, then does what the test says. */
async function fakeEngine(behave: Behaviour, greeting = GREETING): Promise<string> {
  const path = join(scratchFolder(), 'qmp');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(greeting);
    socket.on('data', (bytes) => {
      for (const line of String(bytes).split('\n').filter(Boolean)) {
        const command = JSON.parse(line);
        if (command.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${command.id}}\r\n`);
        else behave(command, socket);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

async function connect(behave: Behaviour): Promise<QmpClient> {
  const client = await QmpClient.connect(await fakeEngine(behave));
  onTestFinished(() => client.close());
  return client;
}

describe('QmpClient', () => {
  it('matches answers to commands by id, whatever their order and however they are cut', async () => {
    const ids: number[] = [];
    const client = await connect(({ id }, socket) => {
      ids.push(id);
      if (ids.length < 2) return;
      const text = ids
        .reverse()
        .map((each) => `{"return": "answer ${each}, ü", "id": ${each}}\r\n`)
        .join('');
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += 7) socket.write(bytes.subarray(at, at + 7));
    });
    const [first, second] = [client.execute('a'), client.execute('b')];
    expect(await first).toBe(`answer ${ids[1]}, ü`);
    expect(await second).toBe(`answer ${ids[0]}, ü`);
  });

  it("gives the engine's class and words when it refuses, and goes on", async () => {
    const client = await connect(({ id, execute }, socket) => {
      const answer =
        execute === 'bad'
          ? '"error": {"class": "CommandNotFound", "desc": "The command bad has not been found"}'
          : '"return": 1';
      socket.write(`{${answer}, "id": ${id}}\r\n`);
    });
    const refusal = { errorClass: 'CommandNotFound', message: 'The command bad has not been found' };
    await expect(client.execute('bad')).rejects.toMatchObject(refusal);
    expect(await client.execute('good')).toBe(1);
  });

  it('passes events on, also one that comes right behind the negotiation', async () => {
    const path = await fakeEngine(
      () => {},
      `${GREETING}{"event": "EARLY", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n`,
    );
    const events: QmpEvent[] = [];
    const client = await QmpClient.connect(path, 1000, (prepared) =>
      prepared.on('event', (event) => events.push(event)),
    );
    client.close();
    expect(events).toEqual([{ event: 'EARLY', data: {} }]);
  });

  it('gives up on an answer that does not come, and ignores it when it comes late', async () => {
    let late: (() => void) | undefined;
    const client = await connect(({ id, execute }, socket) => {
      if (execute === 'slow') late = () => socket.write(`{"return": "late", "id": ${id}}\r\n`);
      else socket.write(`{"return": "quick", "id": ${id}}\r\n`);
    });
    await expect(client.execute('slow', undefined, 20)).rejects.toThrow(/did not answer slow within/);
    late?.();
    expect(await client.execute('quick')).toBe('quick');
  });

  it.each([
    ['that is no JSON', 'Segmentation fault\n', /not JSON: Segmentation fault/],
    ['that is no object', '[1]\n', /not an object/],
    ['without end', Buffer.alloc(17 * 1024 * 1024, 0x20), /endless line/],
  ])('ends the connection at a line %s', async (_what, line, message) => {
    const client = await connect((_command, socket) => void socket.write(line));
    const closed = new Promise((resolve) => client.once('close', resolve));
    await expect(client.execute('x')).rejects.toThrow(message);
    expect(await closed).toMatchObject({ message: expect.stringMatching(message) });
    await expect(client.execute('y')).rejects.toThrow(/is closed/);
  });

  it('rejects what is waiting when the engine goes away', async () => {
    const client = await connect((_command, socket) => void socket.destroy());
    await expect(client.execute('x')).rejects.toThrow(/closed the connection/);
  });

  it('does not wait for ever for a greeting', async () => {
    const path = await fakeEngine(() => {}, ' ');
    await expect(QmpClient.connect(path, 30)).rejects.toThrow(/no greeting/);
    await expect(QmpClient.connect(join(scratchFolder(), 'none'))).rejects.toThrow(/ENOENT/);
  });
});
