/** The board as the monitor tells it, line by line against QEMU 7.2: devices, buses, properties, regions, functions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunningMachine, rescueCd } from '../support/machine.ts';
import { flatViews, mtree, pci, qomTree, qtree, readTexts } from './monitor-texts.ts';
import notYet from './not-yet.json' with { type: 'json' };

const E1000 = '8086:100e';
const { devices, regions } = notYet;
const seed = ['-drive', `file=${rescueCd},if=none,media=cdrom,id=drive-sata0-0-0,readonly=on`];
const cases = [
  { fixture: 'default-cdrom.reset', args: ['-cdrom', rescueCd] },
  { fixture: 'nodefaults.reset', args: ['-nodefaults'] },
  {
    fixture: 'seed-nodefaults-vga.reset',
    args: ['-nodefaults', '-vga', 'std', ...seed, '-device', 'ide-cd,bus=ide.0,drive=drive-sata0-0-0,id=sata0-0-0'],
  },
];

describe.each(cases)('$fixture', ({ fixture, args }) => {
  const golden = readTexts(fixture);
  const wanted = (heading: string) => {
    const text = golden.get(heading);
    if (text === undefined) throw new Error(`the fixture ${fixture} has no ${heading}`);
    return text;
  };
  let machine: RunningMachine;
  beforeAll(async () => {
    machine = await RunningMachine.start({ args: ['-accel', 'tcg', '-M', 'pc', '-S', ...args] });
  });
  afterAll(() => machine.stop());

  it('info qtree', async () => {
    const ours = qtree(await machine.qmp.hmp('info qtree'), []);
    expect(ours).toEqual(qtree(wanted('info qtree'), devices));
  });
  it('info qom-tree', async () => {
    const ours = qomTree(await machine.qmp.hmp('info qom-tree'), [], []);
    expect(ours).toEqual(qomTree(wanted('info qom-tree'), devices, regions));
  });
  it('info mtree', async () => {
    const ours = mtree(await machine.qmp.hmp('info mtree'), [], []);
    expect(ours).toEqual(mtree(wanted('info mtree'), regions, ['e1000']));
  });
  it('info mtree -f', async () => {
    const ours = flatViews(await machine.qmp.hmp('info mtree -f'), [], []);
    expect(ours).toEqual(flatViews(wanted('info mtree -f'), regions, ['e1000']));
  });
  it.each(['info lapic', 'info pic', 'info irq'])('%s', async (command) => {
    const lines = (text: string) => text.replaceAll('\r', '').trimEnd().split('\n');
    expect(lines(await machine.qmp.hmp(command))).toEqual(lines(wanted(command)));
  });
  it('info pci', async () => {
    const ours = pci(await machine.qmp.hmp('info pci'), []);
    expect(ours).toEqual(pci(wanted('info pci'), [E1000]));
  });
});

describe('seed-nodefaults-vga.grub: what the firmware and GRUB have made of it', () => {
  const golden = readTexts('seed-nodefaults-vga.grub');
  it('PCI functions have the same addresses, ports the same places, and the screen shows the same', async () => {
    const machine = await RunningMachine.start({ args: ['-accel', 'tcg', '-M', 'pc', ...cases[2]!.args] });
    try {
      await machine.waitForText('executed automatically');
      await machine.qmp.execute('stop');
      expect(pci(await machine.qmp.hmp('info pci'), [])).toEqual(pci(golden.get('info pci') ?? '', []));
      const ports = (views: string[]) => views.filter((view) => view.includes('AS "I/O"'));
      const ours = flatViews(await machine.qmp.hmp('info mtree -f'), [], []);
      const theirs = flatViews(golden.get('info mtree -f') ?? '', regions, ['e1000']);
      expect(ports(ours)).toEqual(ports(theirs));
      // The firmware has made a virtual wire of LINT0 and LINT1.
      const table = (text: string) =>
        text
          .replaceAll('\r', '')
          .split('\n')
          .filter((line) => line.startsWith('LVT'));
      expect(table(await machine.qmp.hmp('info lapic'))).toEqual(table(golden.get('info lapic') ?? ''));
    } finally {
      await machine.stop();
    }
  });
});

it('what is said not to be there yet is not there', async () => {
  const machine = await RunningMachine.start({ args: ['-M', 'pc', '-S', '-cdrom', rescueCd] });
  try {
    const tree = await machine.qmp.hmp('info qtree');
    expect(devices.filter((type) => tree.includes(`dev: ${type},`))).toEqual([]);
    const objects = await machine.qmp.hmp('info qom-tree');
    const found = regions.filter((name) => objects.includes(`/${name}[0] (memory-region)`));
    expect(found).toEqual([]);
  } finally {
    await machine.stop();
  }
});
