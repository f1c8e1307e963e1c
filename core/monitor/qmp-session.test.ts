import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../hw/core/device.ts';
import { containerGet } from '../qom/object.ts';
import { decodeUtf8, encodeUtf8, type JsonObject, parseJson } from '../util/json.ts';
import { traceEvent } from '../util/trace.ts';
import { QMP_COMMANDS } from './commands/index.ts';
import { EVENTS } from './events.ts';
import { MonitorHub } from './monitor-hub.ts';
import { FakeMachine } from './testing/fake-machine.ts';
import { MemoryStream } from './testing/memory-stream.ts';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
};

function connect(machine = new FakeMachine(), options?: { pretty: boolean }) {
  const hub = new MonitorHub(machine);
  const [server, client] = MemoryStream.pair();
  let text = '';
  client.onData((bytes) => {
    text += decodeUtf8(bytes);
  });
  hub.attachQmp(server, options);
  const take = (): string => {
    const taken = text;
    text = '';
    return taken;
  };
  const lines = (): JsonObject[] =>
    take()
      .split('\r\n')
      .filter((line) => line !== '')
      .map((line) => {
        const parsed = parseJson(line);
        if ('error' in parsed) throw new Error(`${parsed.error}: ${line}`);
        return parsed.value as JsonObject;
      });
  const ask = async (line: string): Promise<JsonObject[]> => {
    client.write(encodeUtf8(line));
    await settle();
    return lines();
  };
  const negotiate = async (): Promise<void> => {
    await ask('{"execute": "qmp_capabilities"}');
  };
  return { hub, machine, server, client, take, lines, ask, negotiate };
}

interface Step {
  readonly in: string;
  readonly out: string[];
}
const transcript: { steps: Step[] } = JSON.parse(
  readFileSync(new URL('testing/qmp-transcript.json', import.meta.url), 'utf8'),
);

/** Numbers that differ from run to run, and what the fake machine shows less of. */
function comparable(line: JsonObject): unknown {
  const { timestamp, ...rest } = line;
  if (timestamp) expect(timestamp).toEqual({ seconds: 1_700_000_000, microseconds: 123_456 });
  return rest;
}

describe('the transcript of a conversation with QEMU', () => {
  it('is reproduced line by line', async () => {
    traceEvent('monitor_test');
    containerGet('/machine/peripheral');
    const monitor = connect();
    expect(monitor.lines()).toEqual([
      {
        QMP: { version: { qemu: { micro: 22, minor: 2, major: 7 }, package: 'Terrarium 0' }, capabilities: [] },
      },
    ]);
    for (const step of transcript.steps) {
      const expected = step.out.map((line) =>
        comparable(
          JSON.parse(line.replaceAll(/(MICRO)?SECONDS/g, (word) => (word === 'SECONDS' ? '1700000000' : '123456'))),
        ),
      );
      const got = (await monitor.ask(`${step.in}\n`)).map(comparable);
      expect({ in: step.in, out: shape(step, got) }).toEqual({ in: step.in, out: shape(step, expected) });
    }
    expect(transcript.steps.length).toBeGreaterThan(80);
  });
});

/** query-block's reply carries the image's own numbers: only who is there is compared. */
function shape(step: Step, lines: unknown[]): unknown {
  if (!step.in.includes('query-block"')) return lines;
  return lines.map((line) => (line as { return: { device: string; tray_open: boolean }[] }).return[0]);
}

describe('QMP', () => {
  it('ends lines in CR LF, inside pretty output too', async () => {
    const monitor = connect(new FakeMachine(), { pretty: true });
    expect(monitor.take()).toMatch(/^\{\r\n {4}"QMP": \{\r\n[\s\S]*\r\n\}\r\n$/);
  });

  it('survives junk of every kind', async () => {
    const monitor = connect();
    await monitor.negotiate();
    for (const junk of [
      '\u0000\u0001',
      ']]]',
      '{"a":',
      '"',
      '{"execute": {}}',
      `${'{"a":'.repeat(3000)}1`,
      '\xff\xfe',
    ]) {
      await monitor.ask(`${junk}\n`);
      // What is still open is closed by junk of its own.
      await monitor.ask('\xff\n"\n}}}]\n');
      monitor.take();
    }
    monitor.client.write(Uint8Array.of(0xff, 0x0a));
    await settle();
    monitor.take();
    expect(await monitor.ask('{"execute": "query-status", "id": 7}\n')).toEqual([
      { return: { status: 'prelaunch', singlestep: false, running: false }, id: 7 },
    ]);
  });

  it('answers in order although commands wait', async () => {
    const monitor = connect();
    await monitor.negotiate();
    const replies = await monitor.ask(
      '{"execute": "eject", "arguments": {"device": "ide1-cd0"}, "id": 1}' +
        '{"execute": "query-status", "id": 2}{"execute": "query-name", "id": 3}',
    );
    expect(replies.filter((line) => 'id' in line).map((line) => line.id)).toEqual([1, 2, 3]);
  });

  it('sends events only to clients that have negotiated, and holds back frequent ones', async () => {
    const monitor = connect();
    monitor.take();
    monitor.machine.emit('STOP');
    expect(monitor.lines()).toEqual([]);
    await monitor.negotiate();
    for (let offset = 0; offset < 5; offset++) monitor.machine.emit('RTC_CHANGE', { offset, 'qom-path': '/rtc' });
    monitor.machine.emit('RTC_CHANGE', { offset: 9, 'qom-path': '/other' });
    expect(monitor.lines().map((line) => line.data)).toEqual([
      { offset: 0, 'qom-path': '/rtc' },
      { offset: 9, 'qom-path': '/other' },
    ]);
    monitor.machine.runTimers();
    expect(monitor.lines().map((line) => line.data)).toEqual([{ offset: 4, 'qom-path': '/rtc' }]);
  });

  it('cuts off a client that does not read', async () => {
    const monitor = connect();
    await monitor.negotiate();
    monitor.server.queuedBytes = 2 ** 30;
    await monitor.ask('{"execute": "query-status"}');
    expect(monitor.server.isClosed).toBe(true);
    monitor.machine.emit('STOP');
  });

  it('names where a nested argument is wrong', async () => {
    const monitor = connect();
    await monitor.negotiate();
    const error = async (command: string, args: string): Promise<unknown> => {
      const [reply] = await monitor.ask(`{"execute": "${command}", "arguments": ${args}}`);
      return (reply?.error as JsonObject | undefined)?.desc;
    };
    expect(await error('send-key', '{"keys": [{"type": "qcode"}]}')).toBe("Parameter 'keys[0].data' is missing");
    expect(await error('send-key', '{"keys": 5}')).toBe("Invalid parameter type for 'keys', expected: array");
    expect(await error('send-key', '{"keys": [], "hold-time": "1"}')).toBe(
      "Invalid parameter type for 'hold-time', expected: integer",
    );
    expect(await error('eject', '{"device": "x", "id": "y"}')).toBe("Need exactly one of 'device' and 'id'");
    expect(await error('eject', '{"device": "ide1-cd0", "toString": 1}')).toBe("Parameter 'toString' is unexpected");
    expect(await error('constructor', '{}')).toBe('The command constructor has not been found');
  });

  it('describes every command and event in its schema, closed under references', async () => {
    const monitor = connect();
    await monitor.negotiate();
    const [reply] = await monitor.ask('{"execute": "query-qmp-schema"}');
    const entries = reply?.return as JsonObject[];
    const names = new Set(entries.map((entry) => entry.name));
    expect(names.size).toBe(entries.length);
    for (const { name } of QMP_COMMANDS) expect(names).toContain(name);
    for (const name of Object.keys(EVENTS)) expect(names).toContain(name);
    for (const entry of entries) {
      for (const key of ['arg-type', 'ret-type', 'element-type']) {
        if (entry[key] !== undefined) expect(names).toContain(entry[key]);
      }
      for (const member of [...((entry.members as JsonObject[]) ?? []), ...((entry.variants as JsonObject[]) ?? [])]) {
        if (entry['meta-type'] === 'object') expect(names).toContain(member.type);
      }
    }
  });

  it('tells what the translator has done as QEMU does, and in numbers', async () => {
    const machine = new FakeMachine();
    const monitor = connect(machine);
    await monitor.negotiate();
    const ask = async () => (await monitor.ask('{"execute": "x-query-jit"}'))[0];
    expect(await ask()).toMatchObject({ error: { desc: 'JIT information is only available with accel=tcg' } });
    machine.jit = {
      guestInstructions: 2 ** 40,
      mips: 12.34,
      averageMips: 5.06,
      busy: 0.5,
      blocksDecoded: 7,
      modeSwitches: 6,
      portReads: 5,
      portWrites: 4,
      mmioAccesses: 3,
      idlePollRests: 2,
      compiler: {
        mode: 'on',
        regions: 11,
        modules: 12,
        wasmBytes: 13,
        codeBytes: 1400,
        codeLimit: 1 << 20,
        compiledRegions: 15,
        compiledInstructions: 16,
        reused: 26,
        ready: 27,
        refused: 17,
        released: 18,
        invalidated: 19,
        evictedModules: 20,
        flushes: 21,
        compileMilliseconds: 22.25,
        exits: { resumed: 23, interpreted: 2 ** 33, budget: 25 },
      },
    };
    const result = (await ask())?.return as JsonObject;
    expect(result).toMatchObject({ 'guest-instructions': 2 ** 40, mips: 12.34, busy: 0.5, 'blocks-decoded': 7 });
    const text = result['human-readable-text'] as string;
    expect(text).toMatch(/guest instructions +1099511627776\n/);
    expect(text).toMatch(/guest MIPS +12\.3 \(since power-on 5\.1\)\n/);
    expect(text).toMatch(
      /^Translation buffer state:\ngen code size {7}1400\/1048576\nTB count {12}11\nTB avg host size {4}127 bytes\n/,
    );
    expect(text).toMatch(/\nStatistics:\nTB flush count {6}21\nTB invalidate count 19\n/);
    expect(result.compiler).toEqual({
      mode: 'on',
      regions: 11,
      modules: 12,
      'wasm-bytes': 13,
      'code-bytes': 1400,
      'code-limit': 1 << 20,
      'compiled-regions': 15,
      'compiled-instructions': 16,
      reused: 26,
      ready: 27,
      refused: 17,
      released: 18,
      invalidated: 19,
      'evicted-modules': 20,
      flushes: 21,
      'compile-milliseconds': 22.25,
      exits: { resumed: 23, interpreted: 2 ** 33, budget: 25 },
    });
    for (const number of [12, 13, 15, 16, 26, 17, 18, 20, 23, 2 ** 33, 25])
      expect(text).toMatch(new RegExp(`[ (]${number}\\b`));
    expect(text).toContain('22.3 ms');
    const { jit } = machine;
    machine.jit = { ...jit, compiler: { ...jit.compiler, mode: 'off' } };
    expect(await ask()).toMatchObject({ return: { 'human-readable-text': expect.stringMatching(/x-jit +off\n$/) } });
    machine.jit = jit;
    const line = '{"execute": "human-monitor-command", "arguments": {"command-line": "info jit"}}';
    expect((await monitor.ask(line))[0]?.return).toBe(text.replaceAll('\n', '\r\n'));
    const schema = (await monitor.ask('{"execute": "query-qmp-schema"}'))[0]?.return as JsonObject[];
    const described = schema.find(({ name }) => name === 'x-query-jit');
    expect(described?.features).toEqual(['unstable']);
  });

  it('lists every command it has once', () => {
    const names = QMP_COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('saves pictures that say what they are', async () => {
    const monitor = connect();
    await monitor.negotiate();
    await monitor.ask('{"execute": "screendump", "arguments": {"filename": "a.ppm"}}');
    await monitor.ask('{"execute": "screendump", "arguments": {"filename": "a.png", "format": "png"}}');
    const ppm = monitor.machine.files.get('a.ppm')!;
    expect(decodeUtf8(ppm.subarray(0, 15))).toBe('P6\n640 480\n255\n');
    expect(ppm.length).toBe(15 + 640 * 480 * 3);
    expect([...monitor.machine.files.get('a.png')!.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
  });

  it('sets and expires VNC passwords', async () => {
    const machine = new FakeMachine();
    machine.vncServers = [
      {
        id: 'default',
        auth: 'vnc',
        servers: [{ host: '127.0.0.1', service: '5900', family: 'ipv4', isWebSocket: false }],
        clients: [],
        display: undefined,
      },
    ];
    const monitor = connect(machine);
    await monitor.negotiate();
    const ask = async (args: string): Promise<JsonObject | undefined> => (await monitor.ask(args))[0];
    expect(await ask('{"execute": "set_password", "arguments": {"protocol": "vnc", "password": "p"}}')).toEqual({
      return: {},
    });
    expect(await ask('{"execute": "expire_password", "arguments": {"protocol": "vnc", "time": "+10"}}')).toEqual({
      return: {},
    });
    expect(machine.asked).toEqual(['password p', `expire ${machine.time + 10_000}`]);
    expect(await ask('{"execute": "query-vnc"}')).toEqual({
      return: { enabled: true, auth: 'vnc', family: 'ipv4', service: '5900', host: '127.0.0.1', clients: [] },
    });
  });
});
