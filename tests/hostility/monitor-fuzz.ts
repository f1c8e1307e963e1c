/** Clients of the monitors that send anything: broken JSON, huge nesting, commands with arguments of every wrong kind, lines
 *  without end. The machine behind them is the real one. */
import { QMP_COMMANDS } from '../../core/monitor/commands/index.ts';
import { MonitorHub } from '../../core/monitor/monitor-hub.ts';
import { MemoryStream } from '../../core/monitor/testing/memory-stream.ts';
import { createMonitorContext } from '../../core/system/monitor-context.ts';
import { encodeUtf8 } from '../../core/util/json.ts';
import { Finding, Random } from './random.ts';
import { wholeBoard } from './whole-board.ts';

const COMMANDS = QMP_COMMANDS.map(({ name }) => name).filter((name) => name !== 'quit');
const KEYS = [
  ...[
    'device',
    'id',
    'filename',
    'force',
    'path',
    'property',
    'value',
    'typename',
    'implements',
    'abstract',
    'keys',
    'events',
  ],
  ...[
    'hold-time',
    'command-line',
    'cpu-index',
    'password',
    'protocol',
    'time',
    'head',
    'format',
    'size',
    'val',
    'name',
    'enable',
  ],
  ...[
    'reboot',
    'shutdown',
    'option',
    'state',
    'read-only-mode',
    'display',
    '__proto__',
    'constructor',
    'toString',
    'vcpu',
  ],
] as const;
const WORDS = [
  ...[
    'cd0',
    'ide1-cd0',
    '/machine',
    '/machine/unattached',
    '/machine/unattached/device[3]',
    '/',
    '',
    'VGA',
    'ide-hd',
    'pc',
    'cd',
  ],
  ...[
    'raw',
    'missing',
    'retain',
    'vnc',
    'a',
    'ctrl',
    'type',
    'x',
    'never',
    '+1',
    'now',
    '\u0000',
    '\ud83d\ude00',
    '%n%s',
    'a'.repeat(5000),
  ],
] as const;
const HMP_WORDS = [
  ...[
    'info',
    'x',
    'xp',
    'p',
    'print',
    'i',
    'o',
    'sum',
    'sendkey',
    'mouse_move',
    'mouse_button',
    'mouse_set',
    'cpu',
    'log',
    'logfile',
  ],
  ...[
    'eject',
    'change',
    'screendump',
    'memsave',
    'pmemsave',
    'gva2gpa',
    'boot_set',
    'qom-list',
    'qom-get',
    'qom-set',
    'help',
    '?',
  ],
  ...[
    'registers',
    'mtree',
    'qtree',
    'qom-tree',
    'pci',
    'block',
    'roms',
    'pic',
    'irq',
    'history',
    'stop',
    'c',
    'system_reset',
    'nmi',
  ],
  ...[
    '/x',
    '/1000000000xb',
    '/4xg',
    '/i',
    '0',
    '-1',
    '0xffffffffffffffff',
    '$eip',
    '$cs',
    '(((',
    '~-+1',
    "'a'",
    '1/0',
    '"',
    '\\',
    '-f',
    '-a',
  ],
  ...['ctrl-alt-delete', 'cd0', 'ide1-cd0', '/machine', 'all', 'on', 'off', '100', '/nowhere/file', 'a'.repeat(3000)],
] as const;

function json(random: Random, depth: number): unknown {
  switch (random.below(depth > 4 ? 5 : 8)) {
    case 0:
      return random.pick(WORDS);
    case 1:
      return random.pick([0, 1, -1, 65536, 2 ** 31, 2 ** 53, -(2 ** 63), 1e300, 0.5]);
    case 2:
      return random.chance(0.5);
    case 3:
      return null;
    case 4:
      return random.value();
    case 5:
      return Array.from({ length: random.below(5) }, () => json(random, depth + 1));
    default:
      return object(random, depth + 1);
  }
}
function object(random: Random, depth: number): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: random.below(5) }, () => [random.pick(KEYS), json(random, depth)]));
}

function hmpLine(random: Random): string {
  const line = Array.from({ length: random.between(1, 5) }, () => random.pick(HMP_WORDS)).join(
    random.pick([' ', ' ', '']),
  );
  return /(^|\s)q(uit)?(\s|$)/.test(line) ? 'info status' : line;
}

function qmpText(random: Random): Uint8Array {
  const kind = random.below(12);
  if (kind === 0) return random.bytes(random.below(300));
  if (kind === 1) return encodeUtf8(random.pick(['[', '{"a":', '{', '[[[{']).repeat(random.pick([10, 1000, 5000])));
  if (kind === 2) return encodeUtf8(`"${'x'.repeat(random.pick([10, 100_000]))}`);
  if (kind === 3) return encodeUtf8(`${'9'.repeat(random.pick([20, 5000]))} -0 1e999 `);
  const name = random.pick(COMMANDS);
  const args =
    name === 'human-monitor-command' && random.chance(0.8)
      ? {
          'command-line': random.chance(0.05)
            ? random.pick(['(', '~', '"', 'p '] as const).repeat(200_000)
            : hmpLine(random),
        }
      : object(random, 0);
  const known =
    name === 'qom-get' || name === 'qom-set' || name === 'qom-list' ? { path: random.pick(WORDS), ...args } : args;
  const request: Record<string, unknown> = { execute: random.chance(0.95) ? name : json(random, 0), arguments: known };
  if (random.chance(0.2)) request.id = json(random, 0);
  const bytes = encodeUtf8(JSON.stringify(request));
  if (kind === 4) for (let i = random.below(4); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256);
  return kind === 5 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** @throws Finding */
export async function fuzzMonitors(seed: number, messages: number): Promise<{ readonly answers: number }> {
  const random = new Random(seed);
  const steps: string[] = [];
  const board = await wholeBoard(['-m', '16', '-S', '-drive', 'file=cd,format=raw,media=cdrom,index=2,id=cd0'], {
    cd: new Uint8Array(65536),
  });
  const vnc = { servers: () => [], setPassword: () => true, expirePassword: () => true, close() {} };
  const hub = new MonitorHub(createMonitorContext(board.system, board.control, vnc));
  let rejected: unknown;
  const onRejection = (error: unknown) => {
    rejected ??= error;
  };
  process.on('unhandledRejection', onRejection);
  let answers = 0;
  try {
    const open = (mode: 'qmp' | 'hmp') => {
      const [server, client] = MemoryStream.pair();
      client.onData(() => {
        answers++;
      });
      if (mode === 'qmp') {
        hub.attachQmp(server, { pretty: random.chance(0.2) });
        client.write(encodeUtf8('{"execute":"qmp_capabilities"}'));
      } else hub.attachHmp(server);
      return client;
    };
    let qmp = open('qmp');
    let hmp = open('hmp');
    for (let i = 0; i < messages; i++) {
      const start = performance.now();
      if (random.chance(0.6)) {
        if (qmp.isClosed) qmp = open('qmp');
        const text = qmpText(random);
        steps.push(`qmp ${Buffer.from(text.subarray(0, 300)).toString()}`);
        for (let at = 0; at < text.length; ) {
          const piece = random.chance(0.8) ? text.length : random.between(1, 200);
          qmp.write(text.subarray(at, at + piece));
          at += piece;
        }
        if (random.chance(0.1)) qmp.write(Uint8Array.of(0xff));
      } else {
        if (hmp.isClosed) hmp = open('hmp');
        const noise = random.chance(0.2);
        const line = noise
          ? random.bytes(random.below(100)).map((b) => (b === 0x71 ? 0x20 : b))
          : encodeUtf8(`${hmpLine(random)}\r`);
        steps.push(`hmp ${Buffer.from(line.subarray(0, 300)).toString()}`);
        if (!hmp.isClosed) hmp.write(Uint8Array.of(0x15));
        hmp.write(line);
        if (random.chance(0.02)) hmp.write(new Uint8Array(random.pick([5000, 70_000])).fill(0x61));
      }
      if (random.chance(0.3)) await board.settle();
      if (random.chance(0.1)) board.advance(1e8);
      if (rejected !== undefined) throw rejected;
      if (performance.now() - start > 4000) throw new Error(`took ${performance.now() - start} ms`);
    }
    await board.settle();
    if (rejected !== undefined) throw rejected;
    qmp.close();
    hmp.close();
    return { answers };
  } catch (error) {
    throw new Finding(seed, steps, error);
  } finally {
    process.off('unhandledRejection', onRejection);
    board.dispose();
  }
}
