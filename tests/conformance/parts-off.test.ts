/** Boards from which parts are left out: what the monitor tells of them, line by line as QEMU 7.2 does, and that the firmware manages. */
import { describe, expect, it } from 'vitest';
import { engine, qemu, RunningMachine, rescueCd } from '../support/machine.ts';
import { flatViews, mtree, pci, qomTree, qtree } from './monitor-texts.ts';
import notYet from './not-yet.json' with { type: 'json' };

const { devices, regions } = notYet;
const texts = {
  'info qtree': (text: string) => qtree(text, devices),
  'info qom-tree': (text: string) => qomTree(text, devices, regions),
  'info mtree': (text: string) => mtree(text, regions, []),
  'info mtree -f': (text: string) => flatViews(text, regions, []),
  'info pci': (text: string) => pci(text, []),
  'qom-get /machine acpi': (text: string) => [text.trim()],
  'qom-get /machine hpet': (text: string) => [text.trim()],
};

async function ask(program: string, args: readonly string[]): Promise<Record<string, readonly string[]>> {
  const machine = await RunningMachine.start({
    program,
    args: ['-accel', 'tcg', '-S', '-nodefaults', '-vga', 'std', ...args],
  });
  try {
    const answers: Record<string, readonly string[]> = {};
    for (const [line, read] of Object.entries(texts)) answers[line] = read(await machine.qmp.hmp(line));
    return answers;
  } finally {
    await machine.stop();
  }
}

describe.each([[['-no-acpi']], [['-no-hpet']], [['-M', 'pc,acpi=off,hpet=off']], [['-no-hpet', '-M', 'pc,hpet=on']]])(
  '%j',
  (args) => {
    it('the board as the monitor tells it', async () => {
      expect(await ask(engine, args)).toEqual(await ask(qemu, args));
    });
    it('the firmware starts, and a power button that leads nowhere does no harm', async () => {
      const machine = await RunningMachine.start({ args: ['-nodefaults', '-vga', 'std', '-cdrom', rescueCd, ...args] });
      try {
        await machine.qmp.execute('system_powerdown');
        await machine.qmp.event('POWERDOWN');
        await machine.waitForText('executed automatically');
      } finally {
        await machine.stop();
      }
    });
  },
);
