/** QMP on the wire: the same bytes are sent to our engine and to QEMU, and the same answers are expected. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engine, qemu, RunningMachine, rescueCd } from '../support/machine.ts';

const ARGS = [
  ...['-S', '-accel', 'tcg', '-M', 'pc-i440fx-7.2', '-m', '64', '-nodefaults', '-vga', 'std', '-name', 'guest=wire'],
  ...['-uuid', '00112233-4455-6677-8899-aabbccddeeff'],
  ...['-drive', `file=${rescueCd},if=none,media=cdrom,id=drive-cd,readonly=on,format=raw`],
  ...['-device', 'ide-cd,bus=ide.1,unit=0,drive=drive-cd,id=cd', '-chardev', 'null,id=s0', '-serial', 'chardev:s0'],
];

type Message = Record<string, unknown>;

/** One connection that sends raw text and reads messages in order. */
class Wire {
  private readonly socket: Socket;
  private buffered = '';
  private wake: () => void = () => {};
  private isClosed = false;

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.buffered += text;
      this.wake();
    });
    this.socket.on('error', () => {}); // close follows
    this.socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
  }
  send(text: string): void {
    this.socket.write(text);
  }
  /** The next message that is no event; without what differs from run to run. */
  async next(): Promise<Message> {
    for (;;) {
      const end = this.buffered.indexOf('\r\n');
      if (end >= 0) {
        const message = JSON.parse(this.buffered.slice(0, end)) as Message;
        this.buffered = this.buffered.slice(end + 2);
        if (!message.event) return message;
        continue;
      }
      if (this.isClosed) throw new Error(`closed after: ${this.buffered}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
  close(): void {
    this.socket.destroy();
  }
}

let machines: { ours: RunningMachine; theirs: RunningMachine };
const sockets = { ours: '', theirs: '' };

beforeAll(async () => {
  const start = async (program: string, which: 'ours' | 'theirs') => {
    const path = join('/tmp', `terrarium-wire-${process.pid}-${which}`);
    sockets[which] = path;
    return RunningMachine.start({ program, args: [...ARGS, '-qmp', `unix:${path},server=on,wait=off`] });
  };
  const [ours, theirs] = await Promise.all([start(engine, 'ours'), start(qemu, 'theirs')]);
  machines = { ours, theirs };
});
afterAll(async () => {
  await machines.ours.stop();
  await machines.theirs.stop();
});

/** Sends the same to both on connections of their own, and reads as many answers as QEMU gives. */
async function exchange(lines: readonly string[], negotiate = true): Promise<{ ours: Message[]; theirs: Message[] }> {
  const talk = async (path: string): Promise<Message[]> => {
    const wire = new Wire(path);
    try {
      await wire.next(); // the greeting
      if (negotiate) {
        wire.send('{"execute":"qmp_capabilities"}\n');
        expect(await wire.next()).toEqual({ return: {} });
      }
      const answers: Message[] = [];
      for (const line of lines) {
        wire.send(`${line}\n`);
        answers.push(await wire.next());
      }
      return answers;
    } finally {
      wire.close();
    }
  };
  return { ours: await talk(sockets.ours), theirs: await talk(sockets.theirs) };
}

/** QEMU has `generic-pc-machine` between all boards of its kind and `machine`; here is one such board yet. */
const FLATTER = new Set(['pc-i440fx-7.2-machine']);

describe('on the wire', () => {
  it('before the capabilities are negotiated nothing else is taken', async () => {
    const { ours, theirs } = await exchange(
      [
        '{"execute":"query-status"}',
        '{"execute":"nosuch"}',
        '{"execute":"qmp_capabilities","arguments":{"enable":["x"]}}',
      ],
      false,
    );
    expect(ours).toEqual(theirs);
  });

  it.each([
    ['no JSON', 'hello'],
    ['a stray bracket', ']'],
    ['a number', '5'],
    ['a string', '"x"'],
    ['a list', '[]'],
    ['an empty object', '{}'],
    ['single quotes', "{'execute':'query-name'}"],
    ['an unknown member', '{"execute":"query-name","nosuch":1}'],
    ['a command that is no string', '{"execute":5}'],
    ['an unknown command', '{"execute":"nosuch"}'],
    ['an unknown command with an id', '{"execute":"nosuch","id":[1,{"a":null}]}'],
    ['arguments that are no object', '{"execute":"query-name","arguments":[]}'],
    ['an argument too many', '{"execute":"query-name","arguments":{"x":1}}'],
    ['an argument missing', '{"execute":"human-monitor-command"}'],
    ['an argument of a wrong type', '{"execute":"human-monitor-command","arguments":{"command-line":5}}'],
    [
      'an enumeration that has no such value',
      '{"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"nosuch"}]}}',
    ],
    ['a union without its tag', '{"execute":"send-key","arguments":{"keys":[{"data":"a"}]}}'],
    ['a device that is not there', '{"execute":"eject","arguments":{"id":"nosuch"}}'],
    ['neither device nor id', '{"execute":"eject","arguments":{}}'],
    [
      'a file that is not there',
      '{"execute":"blockdev-change-medium","arguments":{"id":"cd","filename":"/nowhere","format":"raw"}}',
    ],
    ['a path that is not there', '{"execute":"qom-list","arguments":{"path":"/nowhere"}}'],
    ['a property that is not there', '{"execute":"qom-get","arguments":{"path":"/machine","property":"nosuch"}}'],
    ['a type that is not there', '{"execute":"device-list-properties","arguments":{"typename":"nosuch"}}'],
    ['an id that comes back', '{"execute":"query-name","id":"x"}'],
    ['escapes', '{"execute":"query-name","id":"\\u00e4\\ud83c\\udf31\\n"}'],
  ])('%s', async (_what, line) => {
    const { ours, theirs } = await exchange([line, '{"execute":"query-status"}']);
    expect(ours).toEqual(theirs);
  });

  it('two commands in one line, and one in pieces', async () => {
    const { ours, theirs } = await exchange(['{"execute":"query-name"}{"execute":\n"query-name"}']);
    expect(ours).toEqual(theirs);
  });
});

describe('what queries answer', () => {
  const ask = async (execute: string, args?: object) => {
    const { ours, theirs } = await exchange([JSON.stringify({ execute, ...(args ? { arguments: args } : {}) })]);
    return { ours: ours[0]!.return, theirs: theirs[0]!.return };
  };
  it.each(['query-status', 'query-name', 'query-uuid', 'query-vnc', 'query-mice'])('%s', async (command) => {
    const { ours, theirs } = await ask(command);
    expect(ours).toEqual(theirs);
  });

  it('query-block', async () => {
    const { ours, theirs } = await ask('query-block');
    const withoutNodeNames = (value: unknown) => JSON.parse(JSON.stringify(value).replace(/#block\d+/g, '#blockN'));
    expect(withoutNodeNames(ours)).toEqual(withoutNodeNames(theirs));
  });

  it('query-commands: every command of ours is one of QEMU’s', async () => {
    const { ours, theirs } = await ask('query-commands');
    const names = (list: unknown) => (list as { name: string }[]).map(({ name }) => name);
    expect(names(ours).filter((name) => !names(theirs).includes(name))).toEqual([]);
    expect(names(ours).length).toBeGreaterThan(30);
  });

  it('qom-list-types: every type of ours has the parent that it has in QEMU', async () => {
    const { ours, theirs } = await ask('qom-list-types', { abstract: true });
    type Listed = { name: string; parent?: string }[];
    const parents = new Map((theirs as Listed).map(({ name, parent }) => [name, parent]));
    const wrong = (ours as Listed).filter(({ name, parent }) => parents.get(name) !== parent && !FLATTER.has(name));
    expect(wrong.map(({ name, parent }) => `${name}: ${parent}, in QEMU ${parents.get(name)}`)).toEqual([]);
  });

  it.each(['ide-cd', 'ide-hd', 'VGA', 'isa-serial', 'mc146818rtc', 'isa-debugcon', 'isa-debug-exit', 'i8042', 'PIIX3'])(
    'device-list-properties %s',
    async (typename) => {
      const { ours, theirs } = await ask('device-list-properties', { typename });
      // Parts and lines of a device that has not been realized come at another moment here.
      const properties = (list: unknown) =>
        (list as { name: string; type: string }[])
          .filter(({ type }) => !/^(child|link)<(memory-region|irq|serial|ps2-kbd|ps2-mouse)>$/.test(type))
          .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      expect(properties(ours)).toEqual(properties(theirs));
    },
  );
});
