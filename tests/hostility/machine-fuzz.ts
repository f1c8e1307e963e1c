/** A hostile guest in the whole machine: random code on the real CPU that reaches the real devices, whose memory map, A20 gate,
 *  SMM and interrupts change under it. */
import { CODE, CODE_BYTES, check, enter, fillCode, fillPages, fillTables, MODES } from './cpu-fuzz.ts';
import { Finding, Random } from './random.ts';
import { wholeBoard } from './whole-board.ts';

const BUDGET = 3000;
const RUN_MS = 4000;

/** MOV DX, port; MOV EAX, value; OUT or IN: the pieces that reach devices, spread over random code. */
function fillPorts(random: Random, code: Uint8Array, ports: readonly { start: number; size: number }[]): void {
  for (let i = random.between(20, 200); i > 0; i--) {
    const range = random.pick(ports);
    const port = random.chance(0.2)
      ? random.pick([0xb2, 0xcf8, 0xcfc, 0x92, 0x64, 0x60])
      : range.start + random.below(range.size);
    const value =
      port === 0xcf8 ? 0x8000_0000 | (random.pick([0, 8, 9, 11, 16]) << 8) | (random.below(64) << 2) : random.value();
    const bytes = [
      0x66,
      0xba,
      port & 255,
      port >> 8,
      0xb8,
      value & 255,
      (value >> 8) & 255,
      (value >> 16) & 255,
      value >>> 24,
    ];
    const op = random.pick([0xee, 0xef, 0xec, 0xed, 0x6e, 0x6d]);
    code.set([...bytes, ...(random.chance(0.2) ? [0xf3] : []), op], random.below(code.length - 16));
  }
}

/** @throws Finding */
export async function fuzzMachine(seed: number, rounds: number): Promise<number> {
  const random = new Random(seed);
  const steps: string[] = [];
  const board = await wholeBoard(
    [
      '-m',
      '16',
      '-S',
      '-serial',
      'null',
      '-drive',
      'file=disk,format=raw,if=ide,index=0',
      '-drive',
      'file=cd,format=raw,media=cdrom,index=2,id=cd0',
    ],
    { disk: new Uint8Array(1 << 20), cd: new Uint8Array(65536) },
  );
  const { system } = board;
  const cpu = system.cpu!;
  const { memory, io, displays } = system.env;
  const ports = io.flatView.filter((range) => range.size < 4096);
  let rejected: unknown;
  const onRejection = (error: unknown) => {
    rejected ??= error;
  };
  process.on('unhandledRejection', onRejection);
  const start = () => {
    const low = new Uint8Array(0x50000);
    const view = new DataView(low.buffer);
    for (let i = 0; i < 1024; i += 4) view.setUint32(i, ((CODE >> 4) << 16) | random.below(CODE_BYTES), true);
    fillTables(random, view);
    fillPages(random, view);
    const code = low.subarray(CODE, CODE + CODE_BYTES);
    fillCode(random, code);
    fillPorts(random, code, ports);
    memory.writeBytes(0, low);
    const mode = random.pick(MODES);
    steps.push(`start in ${mode}`);
    enter({ cpu }, mode, random);
    // Code in ROM, in the display's memory, at the end of RAM.
    if (random.chance(0.1))
      cpu.state.eip = random.pick([0xa0000, 0xb8000, 0xbfffe, 0xfff0, 0xc0000, 0xf0000, (16 << 20) - 3, 0xffff_fff0]);
  };
  const before = cpu.executed;
  try {
    start();
    for (let round = 0; round < rounds; round++) {
      steps.push(`round ${round} at ${cpu.state.eip.toString(16)}`);
      const began = performance.now();
      cpu.run(BUDGET);
      if (performance.now() - began > RUN_MS)
        throw new Error(`${BUDGET} instructions took ${performance.now() - began} ms`);
      board.advance(random.pick([1e4, 1e6, 1e8]));
      if (random.chance(0.3)) await board.settle();
      if (random.chance(0.1)) for (const head of displays.consoles) head.refresh();
      const { requests } = system.running.parts;
      const isOver = requests.reset !== null;
      if (!isOver) check({ cpu });
      requests.reset = requests.shutdown = requests.exitCode = requests.wakeup = null;
      requests.suspend = requests.powerdown = requests.ioError = false;
      if (isOver || cpu.halted || random.chance(0.1)) {
        if (isOver || random.chance(0.3)) system.running.resetAll();
        cpu.state.halted = false;
        // Sometimes the firmware runs instead.
        if (!isOver || random.chance(0.8)) start();
      }
      if (rejected !== undefined) throw rejected;
    }
    return cpu.executed - before;
  } catch (error) {
    throw new Finding(seed, steps, error);
  } finally {
    process.off('unhandledRejection', onRejection);
    board.dispose();
  }
}
