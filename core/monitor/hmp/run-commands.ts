/** HMP commands that steer the machine: run state, drives, keys, pointers, screens, logging. */

import type { InputButton } from '../../backends/input/input-core.ts';
import { isQKeyCode, keyOfQnum, type QKeyCode } from '../../backends/input/qkeycodes.ts';
import { checkBootOrder } from '../../options/machine-boot.ts';
import { parseBool } from '../../options/parse-values.ts';
import { objectFindProperty, objectSet } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import { formatJson, type JsonValue, parseJson } from '../../util/json.ts';
import { LOG_ITEMS, type LogItem, setLogItems } from '../../util/log.ts';
import { screendump } from '../commands/display.ts';
import { saveMemory, selectTraceEvents } from '../commands/misc.ts';
import { getProperty, listProperties, resolve } from '../commands/qom.ts';
import {
  drive,
  expression,
  fileName,
  flag,
  flagValue,
  format,
  onOff,
  optionalExpression,
  optionalRest,
  optionalWord,
  rest,
  word,
} from './arguments.ts';
import type { HmpCommand, HmpScope } from './hmp-command.ts';
import { dumpMemory, formatValue } from './memory-dump.ts';

const DEFAULT_HOLD_MS = 100;

export const RUN_COMMANDS: readonly HmpCommand[] = [
  {
    name: 'help|?',
    parameters: [optionalRest('name', '[cmd]')],
    help: 'list the commands, or explain one',
    run: (scope) => scope.print(scope.helpOn(scope.args.optionalText('name'))),
  },
  { name: 'stop|s', parameters: [], help: 'pause the guest', run: ({ context }) => context.run.stop() },
  { name: 'cont|c', parameters: [], help: 'let the guest run on', run: ({ context }) => context.run.cont() },
  { name: 'quit|q', parameters: [], help: 'end the emulator', run: ({ context }) => context.run.quit() },
  { name: 'system_reset', parameters: [], help: 'press the reset button', run: ({ context }) => context.run.reset() },
  {
    name: 'system_powerdown',
    parameters: [],
    help: 'press the power button',
    run: ({ context }) => context.run.powerdown(),
  },
  {
    name: 'system_wakeup',
    parameters: [],
    help: 'wake the guest from suspend',
    run: ({ context }) => context.run.wakeup(),
  },
  { name: 'nmi', parameters: [], help: 'send a non-maskable interrupt', run: ({ context }) => context.run.injectNmi() },
  { name: 'cpu', parameters: [expression('index')], help: 'choose the CPU that this monitor looks at', run: selectCpu },
  {
    name: 'boot_set',
    parameters: [word('bootdevice')],
    help: 'change the order in which boot devices are tried',
    run: ({ context, args, print }) => {
      const order = args.text('bootdevice');
      try {
        checkBootOrder(order);
        context.run.setBootOrder(order);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        print(`${error.message}\n`);
        return;
      }
      print(`boot device list now set to ${order}\n`);
    },
  },
  {
    name: 'eject',
    parameters: [flag('f'), drive('device')],
    help: 'take the medium out of a drive (-f: even if the guest has locked it)',
    run: ({ context, args }) => context.block.eject({ device: args.text('device') }, args.flag('f')),
  },
  {
    name: 'change',
    parameters: [
      drive('device'),
      flag('f'),
      fileName('filename'),
      optionalWord('format', '[format'),
      optionalWord('mode', '[read-only-mode]]'),
    ],
    help: 'put another medium into a drive (-f: even if the guest has locked it)',
    run: changeMedium,
  },
  {
    name: 'screendump',
    parameters: [
      fileName('filename'),
      flagValue('f', 'format'),
      optionalWord('device', '[device'),
      optionalExpression('head', '[head]]'),
    ],
    help: "save the screen to a file, as 'ppm' or 'png'",
    run: async ({ context, args }) => {
      const wanted = args.optionalText('f') ?? 'ppm';
      if (wanted !== 'ppm' && wanted !== 'png') throw new UserError(`invalid parameter value: ${wanted}`);
      const head = args.has('head') ? Number(args.number('head')) : undefined;
      await screendump(context, args.text('filename'), args.optionalText('device'), head, wanted);
    },
  },
  {
    name: 'sendkey',
    parameters: [word('keys'), optionalExpression('hold', '[hold_ms]')],
    help: `press keys together, e.g. 'sendkey ctrl-alt-f1' (held for ${DEFAULT_HOLD_MS} ms)`,
    run: sendKeys,
  },
  {
    name: 'mouse_move',
    parameters: [word('dx'), word('dy'), optionalWord('dz')],
    help: 'move the pointer, turn the wheel',
    run: moveMouse,
  },
  {
    name: 'mouse_button',
    parameters: [expression('state')],
    help: 'pointer buttons held down: 1 left, 2 right, 4 middle, added up',
    run: pressButtons,
  },
  {
    name: 'mouse_set',
    parameters: [expression('index')],
    help: 'choose the pointer that gets events',
    run: ({ context, args, print }) => {
      const index = BigInt.asIntN(32, args.number('index'));
      if (!context.input.activateMouse(Number(index))) print(`Mouse at index '${index}' not found\n`);
    },
  },
  {
    name: 'log',
    parameters: [word('items', 'item1[,...]')],
    help: "log these items ('help log' lists them)",
    run: setLog,
  },
  {
    name: 'logfile',
    parameters: [fileName('filename')],
    help: 'write the log to this file',
    run: ({ context, args, print }) => {
      const file = args.text('filename');
      try {
        context.host.setLogFile(file);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        print(`Error opening logfile ${file}: ${error.message}\n`);
      }
    },
  },
  {
    name: 'trace-event',
    parameters: [word('name'), onOff('option'), optionalExpression('vcpu')],
    help: 'switch a trace event (or a pattern of them)',
    run: ({ args, print }) => {
      try {
        selectTraceEvents(args.text('name'), args.flag('option'));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        print(`${error.message}\n`);
      }
    },
  },
  {
    name: 'print|p',
    parameters: [format, expression('value', 'expr')],
    help: 'print a value ($reg is a CPU register)',
    run: ({ args, print }) => print(`${formatValue(args.number('value'), args.dump.format)}\n`),
  },
  {
    name: 'x',
    parameters: [format, expression('addr')],
    help: "show virtual memory from 'addr' on",
    run: (scope) => dump(scope, false),
  },
  {
    name: 'xp',
    parameters: [format, expression('addr')],
    help: "show physical memory from 'addr' on",
    run: (scope) => dump(scope, true),
  },
  {
    name: 'gva2gpa',
    parameters: [expression('addr')],
    help: 'physical address of a virtual one',
    run: ({ context, args, cpu, print }) => {
      const address = context.guest.translate(cpu, BigInt.asUintN(64, args.number('addr')));
      print(address === null ? 'Unmapped\n' : `gpa: 0x${address.toString(16)}\n`);
    },
  },
  {
    name: 'sum',
    parameters: [expression('start', 'addr'), expression('size')],
    help: 'checksum of physical memory',
    run: checksum,
  },
  {
    name: 'i',
    parameters: [format, expression('addr')],
    help: 'read an I/O port',
    run: ({ context, args, print }) => {
      const size = portSize(args.dump.size);
      const port = Number(args.number('addr') & 0xffffn);
      const value = context.guest.readPort(port, size) >>> 0;
      print(`port${{ 1: 'b', 2: 'w', 4: 'l' }[size]}[0x${hex(port, 4)}] = 0x${hex(value, size * 2)}\n`);
    },
  },
  {
    name: 'o',
    parameters: [format, expression('addr'), expression('value')],
    help: 'write an I/O port',
    run: ({ context, args }) => {
      const value = Number(BigInt.asUintN(32, args.number('value')));
      context.guest.writePort(Number(args.number('addr') & 0xffffn), value, portSize(args.dump.size));
    },
  },
  {
    name: 'memsave',
    parameters: [expression('val', 'addr'), expression('size'), fileName('filename', 'file')],
    help: 'save virtual memory to a file',
    run: ({ context, args, cpu }) =>
      saveMemory(
        context,
        args.text('filename'),
        Number(args.number('val')),
        Number(args.number('size')),
        (address, length) => {
          const bytes = context.guest.readVirtual(cpu, address, length);
          if (!bytes) throw new UserError(`Invalid addr 0x${hex(address, 16)}/size ${args.number('size')} specified`);
          return bytes;
        },
      ),
  },
  {
    name: 'pmemsave',
    parameters: [expression('val', 'addr'), expression('size'), fileName('filename', 'file')],
    help: 'save physical memory to a file',
    run: ({ context, args }) =>
      saveMemory(
        context,
        args.text('filename'),
        Number(args.number('val')),
        Number(args.number('size')),
        (address, length) => context.guest.readPhysical(address, length) ?? new Uint8Array(length),
      ),
  },
  {
    name: 'set_password',
    parameters: [
      word('protocol'),
      word('password'),
      flagValue('d', 'display'),
      optionalWord('connected', '[action-if-connected]'),
    ],
    help: 'set the VNC password',
    run: ({ context, args }) => {
      requireVnc(args.text('protocol'));
      if (!context.vnc.setPassword(args.optionalText('d'), args.text('password'))) {
        throw new UserError('Could not set password');
      }
    },
  },
  {
    name: 'expire_password',
    parameters: [word('protocol'), word('time'), flagValue('d', 'display')],
    help: "end the VNC password at a time: 'now', 'never', '+seconds' or seconds since 1970",
    run: ({ context, args }) => {
      requireVnc(args.text('protocol'));
      const at = parseTime(args.text('time'), context.host.now());
      if (!context.vnc.expirePassword(args.optionalText('d'), at))
        throw new UserError('Could not set password expire time');
    },
  },
  {
    name: 'chardev-send-break',
    parameters: [word('id')],
    help: 'send a break over a character device',
    run: ({ context, args }) => context.characters.sendBreak(args.text('id')),
  },
  {
    name: 'qom-list',
    parameters: [optionalWord('path', 'path')],
    help: 'properties of an object',
    run: ({ args, print }) => {
      const path = args.optionalText('path');
      if (path === undefined) print('/\n');
      else for (const { name, type } of listProperties(path)) print(`${String(name)} (${String(type)})\n`);
    },
  },
  {
    name: 'qom-get',
    parameters: [word('path'), word('property')],
    help: 'value of a property of an object',
    run: ({ args, print }) => print(`${formatJson(getProperty(args.text('path'), args.text('property')), true)}\n`),
  },
  {
    name: 'qom-set',
    parameters: [flag('j'), word('path'), word('property'), rest('value')],
    help: 'set a property of an object (-j: the value is JSON)',
    run: setProperty,
  },
];

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function selectCpu({ context, args, print, selectCpu: select }: HmpScope): void {
  const index = args.number('index');
  if (context.guest.cpus.some((cpu) => BigInt(cpu.index) === index)) select(Number(index));
  else print('invalid CPU index\n');
}

async function changeMedium({ context, args }: HmpScope): Promise<void> {
  const device = args.text('device');
  if (device === 'vnc') {
    if (!['passwd', 'password'].includes(args.text('filename'))) throw new UserError("Expected 'password' after 'vnc'");
    if (!context.vnc.setPassword(undefined, args.text('format'))) throw new UserError('Could not set password');
    return;
  }
  const mode = args.optionalText('mode') ?? 'retain';
  if (mode !== 'retain' && mode !== 'read-only' && mode !== 'read-write') {
    throw new UserError(`invalid parameter value: ${mode}`);
  }
  await context.block.changeMedium(
    { device },
    { filename: args.text('filename'), format: args.optionalText('format'), readOnlyMode: mode, force: args.flag('f') },
  );
}

function sendKeys({ context, args, print }: HmpScope): void {
  const keys: QKeyCode[] = [];
  for (const name of args.text('keys').split('-')) {
    const key = keyOfName(name);
    if (key === undefined) {
      print(`invalid parameter: ${name}\n`);
      return;
    }
    keys.push(key);
  }
  const hold = args.has('hold') ? Number(args.number('hold')) : DEFAULT_HOLD_MS;
  context.input.sendKeys(keys, Math.max(0, Math.min(hold, 60_000)));
}

function keyOfName(name: string): QKeyCode | undefined {
  if (name === '<') return 'less';
  if (/^0x[0-9a-fA-F]{1,4}$/.test(name)) return keyOfQnum(Number(name));
  return isQKeyCode(name) ? name : undefined;
}

function moveMouse({ context, args }: HmpScope): void {
  const distance = (name: string): number => Number.parseInt(args.text(name), 10) || 0;
  context.input.sendRel('x', distance('dx'));
  context.input.sendRel('y', distance('dy'));
  const wheel = distance('dz');
  if (wheel !== 0) {
    const button = wheel > 0 ? 'wheel-up' : 'wheel-down';
    context.input.sendButton(button, true);
    context.input.sync();
    context.input.sendButton(button, false);
  }
  context.input.sync();
}

function pressButtons({ context, args, pointer }: HmpScope): void {
  const state = Number(args.number('state') & 7n);
  const buttons: readonly InputButton[] = ['left', 'right', 'middle'];
  buttons.forEach((button, bit) => {
    const isDown = ((state >> bit) & 1) === 1;
    if (isDown !== (((pointer.buttons >> bit) & 1) === 1)) context.input.sendButton(button, isDown);
  });
  pointer.buttons = state;
  context.input.sync();
}

function setLog({ args, print, helpOn }: HmpScope): void {
  const text = args.text('items');
  const all = Object.keys(LOG_ITEMS);
  const items = text === 'none' ? [] : text === 'all' ? all : text.split(',');
  if (items.every((item) => Object.hasOwn(LOG_ITEMS, item))) setLogItems(items as LogItem[]);
  else print(helpOn('log'));
}

function dump({ context, args, cpu, print }: HmpScope, isPhysical: boolean): void {
  const start = BigInt.asUintN(64, args.number('addr'));
  if (args.dump.format === 'i') {
    const { disassemble } = context.guest;
    if (!disassemble) throw new UserError('there is no disassembler yet');
    print(disassemble.call(context.guest, cpu, start, Math.min(args.dump.count, 10_000), isPhysical));
    return;
  }
  print(
    dumpMemory(start, args.dump, (address, length) =>
      isPhysical ? context.guest.readPhysical(address, length) : context.guest.readVirtual(cpu, address, length),
    ),
  );
}

/** Rotating 16-bit sum over bytes, as `sum` of old Unix has it. */
function checksum({ context, args, print }: HmpScope): void {
  const start = BigInt.asUintN(64, args.number('start'));
  const size = args.number('size');
  if (size < 0n || size > 1n << 32n) throw new UserError("Parameter 'size' expects a size below 4 GiB");
  let sum = 0;
  for (let at = 0n; at < size; at += 65536n) {
    const length = size - at > 65536n ? 65536 : Number(size - at);
    const bytes = context.guest.readPhysical(start + at, length) ?? new Uint8Array(length);
    for (const byte of bytes) sum = (((sum >> 1) | (sum << 15)) + byte) & 0xffff;
  }
  print(`${String(sum).padStart(5, '0')}\n`);
}

function portSize(size: number): 1 | 2 | 4 {
  return size === 1 || size === 2 ? size : 4;
}

function requireVnc(protocol: string): void {
  if (protocol !== 'vnc') throw new UserError(`invalid parameter value: ${protocol}`);
}

function parseTime(text: string, now: number): number | null {
  if (text === 'never') return null;
  if (text === 'now') return 0;
  const match = /^(\+?)([0-9]{1,12})$/.exec(text);
  if (!match) throw new UserError(`invalid time: ${text}`);
  return Number(match[2]) * 1000 + (match[1] ? now : 0);
}

function setProperty({ args }: HmpScope): void {
  const target = resolve(args.text('path'));
  const name = args.text('property');
  const text = args.text('value');
  if (args.flag('j')) {
    const parsed = parseJson(text);
    if ('error' in parsed) throw new UserError(parsed.error);
    objectSet(target, name, parsed.value);
    return;
  }
  objectSet(target, name, valueOfType(name, objectFindProperty(target, name)?.type ?? 'str', text));
}

/** A text as a value of a property's type. */
function valueOfType(name: string, type: string, text: string): JsonValue {
  if (type === 'bool') return parseBool(name, text);
  if (/^u?int|^size$|^number$/.test(type) && /^-?(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})$/.test(text)) {
    const value = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }
  return text;
}
