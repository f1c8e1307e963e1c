import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import '../../hw/core/device.ts';
import { containerGet } from '../../qom/object.ts';
import { decodeUtf8, encodeUtf8 } from '../../util/json.ts';
import { MonitorHub } from '../monitor-hub.ts';
import { FakeMachine } from '../testing/fake-machine.ts';
import { MemoryStream } from '../testing/memory-stream.ts';
import { parseExpression } from './expression.ts';
import { LineEditor } from './line-editor.ts';

const transcript: { commands: { command: string; output: string }[] } = JSON.parse(
  readFileSync(new URL('../testing/hmp-transcript.json', import.meta.url), 'utf8'),
);
const FIRMWARE_TAIL = [0xea, 0x5b, 0xe0, 0x00, 0xf0, 0x30, 0x36, 0x2f, 0x32, 0x33, 0x2f, 0x39, 0x39, 0x00, 0xfc, 0x00];

/** Commands of the transcript that the fake machine has no part for. */
const NOT_YET = new Set(['device_del']);

describe('the transcript of QEMU’s human monitor', () => {
  it('is reproduced command by command', async () => {
    const machine = new FakeMachine();
    machine.memory.set(FIRMWARE_TAIL, 0xfff0);
    machine.ports.set(0x71, 0x19);
    containerGet('/machine/peripheral');
    const hub = new MonitorHub(machine);
    let compared = 0;
    for (const { command, output } of transcript.commands) {
      if (NOT_YET.has(command)) continue;
      const got = (await hub.humanMonitor(command)).replaceAll('\r\n', '\n').replaceAll(/#block\d+/g, '#block');
      expect({ command, output: got }).toEqual({ command, output: output.replaceAll(/#block\d+/g, '#block') });
      compared++;
    }
    expect(compared).toBeGreaterThan(80);
    expect(machine.files.has('OUTFILE.png')).toBe(true);
  });
});

describe('HMP', () => {
  it('prints PCI devices as QEMU does', async () => {
    const machine = new FakeMachine();
    const region = { isPrefetchable: false, is64Bit: false, address: -1 };
    machine.pci = [
      {
        bus: 0,
        devices: [
          {
            bus: 0,
            slot: 2,
            function: 0,
            classCode: 0x300,
            classDescription: 'VGA controller',
            vendor: 0x1234,
            device: 0x1111,
            subsystemVendor: 0x1af4,
            subsystem: 0x1100,
            irqPin: 4,
            irqLine: 0,
            qdevId: 'vga0',
            regions: [
              { ...region, bar: 0, type: 'memory', size: 16 << 20, isPrefetchable: true },
              { ...region, bar: 1, type: 'io', size: 32 },
              { ...region, bar: 2, type: 'memory', size: 4096, address: 0xfebf0000 },
            ],
          },
        ],
      },
    ];
    expect(await new MonitorHub(machine).humanMonitor('info pci')).toBe(
      [
        '  Bus  0, device   2, function 0:',
        '    VGA controller: PCI device 1234:1111',
        '      PCI subsystem 1af4:1100',
        '      IRQ 0, pin D',
        '      BAR0: 32 bit prefetchable memory at 0xffffffffffffffff [0x00fffffe].',
        '      BAR1: I/O at 0xffffffffffffffff [0x001e].',
        '      BAR2: 32 bit memory at 0xfebf0000 [0xfebf0fff].',
        '      id "vga0"',
        '',
      ].join('\r\n'),
    );
  });

  it('lists only info that the machine can give', async () => {
    const hub = new MonitorHub(new FakeMachine());
    const list = await hub.humanMonitor('info');
    expect(list).toContain('info roms ');
    expect(list).not.toContain('info usb ');
    expect(await hub.humanMonitor('info usb')).toBe("unknown command: 'info usb'\r\n");
    expect(await hub.humanMonitor('help x')).toContain('x /fmt addr -- ');
    expect((await hub.humanMonitor('help')).split('\r\n').length).toBeGreaterThan(30);
  });

  it('talks to a terminal', async () => {
    const hub = new MonitorHub(new FakeMachine());
    const [server, client] = MemoryStream.pair();
    let screen = '';
    client.onData((bytes) => {
      screen += decodeUtf8(bytes);
    });
    hub.attachHmp(server);
    expect(screen).toMatch(/monitor - type 'help' for more information\r\n\(qemu\) $/);
    screen = '';
    client.write(encodeUtf8('info name\rp 2'));
    client.write(encodeUtf8('+3\r\x1b[A\x1b[A\x1b[B\r'));
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    expect(screen.match(/0x5\r\n/g)?.length).toBe(2);
  });

  it('cuts off a flood', () => {
    const hub = new MonitorHub(new FakeMachine());
    const [server, client] = MemoryStream.pair();
    hub.attachHmp(server);
    for (let i = 0; i < 10; i++) client.write(new Uint8Array(20_000).fill(0x0a));
    expect(server.isClosed).toBe(true);
  });

  it('takes no more memory than it was asked for, however much is asked', async () => {
    const hub = new MonitorHub(new FakeMachine());
    expect((await hub.humanMonitor('xp /99999999999999xb 0')).length).toBeLessThan(1 << 16);
  });
});

describe('expressions', () => {
  const value = (text: string): bigint => parseExpression(text, 0, (name) => (name === 'r' ? 7n : null)).value;
  it('bind as QEMU’s do', () => {
    expect(value('1+2*3')).toBe(7n);
    expect(value('1|2+4')).toBe(7n);
    expect(value('~0 & 0xff')).toBe(255n);
    expect(value("'a'")).toBe(97n);
    expect(value('-(2-5)*$r')).toBe(21n);
    expect(value('010')).toBe(8n);
    expect(value('0xffffffffffffffff')).toBe(-1n);
  });
  it('are refused with a reason, never with a stack overflow', () => {
    expect(() => value('1+')).toThrow('unexpected end of expression');
    expect(() => value("'a")).toThrow('missing terminating');
    expect(() => value('(')).toThrow('unexpected end of expression');
    expect(() => value('0x1ffffffffffffffff')).toThrow('number too large');
    expect(() => value('('.repeat(100_000))).toThrow('nested too deeply');
    expect(() => value('-'.repeat(100_000))).toThrow('nested too deeply');
  });
});

describe('the line editor', () => {
  function edit(keys: string, matches: string[] = []): { lines: string[]; screen: string } {
    const lines: string[] = [];
    let screen = '';
    const editor = new LineEditor(
      { write: (text) => (screen += text), line: (text) => lines.push(text), complete: () => matches },
      '> ',
    );
    editor.show();
    for (const key of keys) editor.take(key);
    return { lines, screen };
  }
  it('moves, inserts and deletes', () => {
    expect(edit('bc\x01a\x05d\r').lines).toEqual(['abcd']);
    expect(edit('one two\x17three\r').lines).toEqual(['one three']);
    expect(edit('abc\x1b[D\x1b[D\x7f\r').lines).toEqual(['bc']);
    expect(edit('abc\x01\x04\x0b\r').lines).toEqual(['']);
    expect(edit('abc\x15x\r').lines).toEqual(['x']);
    expect(edit('ab\x1b[3~\x1b[H\x1b[3~\r').lines).toEqual(['b']);
  });
  it('recalls earlier lines and keeps the one being typed', () => {
    expect(edit('first\rsecond\rthi\x1b[A\x1b[A\x1b[B\x1b[Brd\r').lines).toEqual(['first', 'second', 'third']);
    expect(edit('first\r\x10\r').lines).toEqual(['first', 'first']);
  });
  it('completes what is sure and shows the rest', () => {
    expect(edit('sys\t\r', ['system_reset']).lines).toEqual(['system_reset ']);
    const several = edit('sys\t\t\r', ['system_powerdown', 'system_reset']);
    expect(several.lines).toEqual(['system_']);
    expect(several.screen).toContain('system_powerdown  system_reset');
  });
});
