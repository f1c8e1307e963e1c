/** Sleeping and waking (ACPI's S3 and S4) as QEMU 7.2 does it: a guest that only halts, and the monitor in the place of its drivers.
 *  Registers, run states and events of both, step by step. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import { engine, qemu, RunningMachine } from '../support/machine.ts';

const PM = 0x600;
const [STATUS, ENABLE, CONTROL] = [PM, PM + 2, PM + 4];
const TIMER_STATUS = 0x0001;
const RTC = 0x0400;
const SLEEP = 0x2000;
const sleepType = (type: number) => SLEEP | (type << 10);
const ALARM_FLAG = 0x20;

/** What a guest's drivers would do, through the monitor. */
class Driver {
  readonly said: string[] = [];
  private readonly machine: RunningMachine;
  constructor(machine: RunningMachine) {
    this.machine = machine;
  }
  static async with(program: string, args: readonly string[], steps: (driver: Driver) => Promise<void>) {
    const rom = join(scratchFolder(), 'halt.bin');
    writeFileSync(rom, Buffer.alloc(0x10000, 0xf4));
    const machine = await RunningMachine.start({
      program,
      args: ['-accel', 'tcg', '-nodefaults', '-bios', rom, ...args],
    });
    const driver = new Driver(machine);
    try {
      await steps(driver);
    } finally {
      await machine.stop();
    }
    return driver.said;
  }
  say(what: string, value: unknown): void {
    this.said.push(`${what}: ${typeof value === 'number' ? value.toString(16) : JSON.stringify(value)}`);
  }

  write(port: number, value: number, size: 'b' | 'h' | 'w' = 'b'): Promise<string> {
    return this.machine.qmp.hmp(`o /${size} ${port} ${value}`);
  }
  async read(port: number, size: 'b' | 'h' = 'b'): Promise<number> {
    const text = await this.machine.qmp.hmp(`i /${size} ${port}`);
    return Number(/= (0x[0-9a-f]+)/.exec(text)?.[1]);
  }
  async cmos(register: number, value?: number): Promise<number> {
    await this.write(0x70, register);
    if (value !== undefined) await this.write(0x71, value);
    return this.read(0x71);
  }
  /** Gives the PIIX4's function its ports. */
  async mapPorts(): Promise<void> {
    for (const [register, value] of [
      [0x40, PM | 1],
      [0x80, 1],
    ] as const) {
      await this.write(0xcf8, 0x80000b00 + register, 'w');
      await this.write(0xcfc, value, 'w');
    }
  }
  async registers(what: string): Promise<void> {
    const values = [];
    for (const port of [STATUS, ENABLE, CONTROL]) values.push(await this.read(port, 'h'));
    this.say(what, values.map((value) => value.toString(16)).join(' '));
  }
  async execute(command: string, args?: object): Promise<void> {
    const reply = await this.machine.qmp.raw({ execute: command, ...(args ? { arguments: args } : {}) });
    this.say(command, reply.error ?? reply.return);
  }
  async state(what: string): Promise<void> {
    this.say(what, ((await this.machine.qmp.execute('query-status')) as { status: string }).status);
  }
  async event(name: string): Promise<void> {
    const { data } = await this.machine.qmp.event(name);
    this.say(name, data ?? null);
  }
  async sleep(type = 1): Promise<void> {
    await this.write(CONTROL, sleepType(type), 'h');
    await this.event('SUSPEND');
    await this.state('asleep');
  }
  async wake(): Promise<void> {
    await this.execute('system_wakeup');
    await this.event('WAKEUP');
    await this.mapPorts();
  }
}

async function both(args: readonly string[], steps: (driver: Driver) => Promise<void>): Promise<readonly string[]> {
  const ours = await Driver.with(engine, args, steps);
  const theirs = await Driver.with(qemu, args, steps);
  expect(ours).toEqual(theirs);
  return ours;
}

describe('S3', () => {
  it('registers and shutdown status on the way down and up', async () => {
    const said = await both([], async (guest) => {
      await guest.execute('query-current-machine');
      await guest.execute('system_wakeup');
      await guest.mapPorts();
      await guest.registers('at first');
      await guest.write(ENABLE, RTC | 0x100, 'h');
      await guest.write(CONTROL, sleepType(1) | 1, 'h');
      await guest.event('SUSPEND');
      await guest.state('asleep');
      await guest.registers('asleep');
      guest.say('shutdown status', await guest.cmos(0xf));
      for (const command of ['stop', 'cont', 'system_powerdown']) await guest.execute(command);
      await guest.event('POWERDOWN');
      await guest.state('still asleep');
      await guest.registers('button pressed');
      await guest.execute('system_wakeup');
      await guest.state('at once');
      await guest.event('WAKEUP');
      await guest.mapPorts();
      await guest.registers('awake');
      guest.say('shutdown status', await guest.cmos(0xf));
    });
    expect(said).toContain('awake: "8101 0 0"');
  });

  it('a reset meanwhile', () =>
    both([], async (guest) => {
      await guest.mapPorts();
      await guest.sleep();
      await guest.execute('system_reset');
      await guest.event('RESET');
      await guest.state('reset');
      await guest.execute('system_wakeup');
      await guest.execute('cont');
      await guest.event('RESUME');
      await guest.mapPorts();
      await guest.registers('reset');
    }));

  const key = (down: boolean) => ({ type: 'key', data: { down, key: { type: 'qcode', data: 'b' } } });
  const left = (down: boolean) => ({ type: 'btn', data: { down, button: 'left' } });
  const move = { type: 'rel', data: { axis: 'x', value: 5 } };
  it.each([
    ['a key', 'running', false, [key(true)]],
    ['a key let go', 'running', false, [key(false)]],
    ['a button of a mouse that is off', 'suspended', false, [left(true)]],
    ['movement', 'suspended', true, [move]],
    ['a button', 'running', true, [left(true)]],
    ['a button let go', 'suspended', true, [left(false)]],
  ] as const)('after %s it is %s', async (_, state, mouseOn, events) => {
    const said = await both([], async (guest) => {
      await guest.mapPorts();
      if (mouseOn)
        for (const [port, value] of [
          [0x64, 0xd4],
          [0x60, 0xf4],
        ] as const)
          await guest.write(port, value);
      await guest.sleep();
      await guest.execute('input-send-event', { events });
      await guest.state('then');
    });
    expect(said.at(-1)).toBe(`then: "${state}"`);
  });

  it.each([
    ['wakes', 'host', RTC],
    ['wakes', 'rt', RTC],
    ['must be enabled', 'host', 0],
  ])('an alarm %s (clock=%s)', async (_, clock, enable) => {
    await both(['-rtc', `clock=${clock}`], async (guest) => {
      await guest.mapPorts();
      await guest.write(ENABLE, enable, 'h');
      for (const register of [1, 3, 5]) await guest.cmos(register, 0xc0); // every second
      await guest.cmos(0xb, 0x22);
      await guest.cmos(0xc);
      await guest.sleep();
      if (enable) await guest.event('WAKEUP');
      else while (!((await guest.cmos(0xc)) & ALARM_FLAG)) await new Promise((done) => setTimeout(done, 20));
      await guest.state('then');
      await guest.mapPorts();
      // The timer's bit is there or not as time has it.
      guest.say('status', (await guest.read(STATUS, 'h')) & ~TIMER_STATUS);
      guest.say('register B', await guest.cmos(0xb));
    });
  });

  it.each(['off', 'on'])('a byte on a serial port with wakeup=%s', async (wakeup) => {
    const path = () => join(scratchFolder(), 'serial');
    const port = (socket: string) => [
      ...['-chardev', `socket,id=s,path=${socket},server=on,wait=off`],
      ...['-device', `isa-serial,chardev=s,wakeup=${wakeup}`],
    ];
    const said = await Promise.all(
      [engine, qemu].map((program) => {
        const socket = path();
        return Driver.with(program, port(socket), async (guest) => {
          await guest.mapPorts();
          await guest.sleep();
          const client = connect(socket, () => client.write('a'));
          try {
            const dataReady = async () => ((await guest.read(0x3f8 + 5)) & 1) !== 0;
            if (wakeup === 'on') await guest.event('WAKEUP');
            else while (!(await dataReady())) await new Promise((done) => setTimeout(done, 20));
            await guest.state('then');
          } finally {
            client.destroy();
          }
        });
      }),
    );
    expect(said[0]).toEqual(said[1]);
  });
});

it.each([
  [[]],
  [['-global', 'PIIX4_PM.disable_s3=1']],
  [['-global', 'PIIX4_PM.disable_s4=1']],
  [['-global', 'PIIX4_PM.s4_val=3']],
])('sleep types, with %j', async (args) => {
  const said = await both(['-no-shutdown', ...args], async (guest) => {
    await guest.execute('query-current-machine');
    await guest.mapPorts();
    await guest.sleep();
    await guest.wake();
    for (const type of [4, 5, 6, 7, 2, 3]) {
      await guest.write(CONTROL, sleepType(type), 'h');
      const isS4 = type === (args.includes('PIIX4_PM.s4_val=3') ? 3 : 2);
      if (isS4) for (const event of ['SUSPEND_DISK', 'SHUTDOWN', 'STOP']) await guest.event(event);
      await guest.state(`type ${type}`);
    }
  });
  expect(said).toContain('SUSPEND_DISK: null');
});

it('there is none without ACPI', () =>
  both(['-no-acpi'], async (guest) => {
    await guest.execute('query-current-machine');
    await guest.execute('system_wakeup');
  }));
