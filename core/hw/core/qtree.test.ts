import { beforeEach, describe, expect, it } from 'vitest';
import { objectChildren, objectGet, objectSet, resetObjectRoot } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';
import {
  Bus,
  busNew,
  Device,
  deviceNew,
  deviceRealize,
  deviceType,
  forgetAutomaticIds,
  resetBus,
  resetTree,
} from './device.ts';
import { bareBoard } from './environment.ts';
import { splitPin } from './pin.ts';
import { hidden, properties, u32 } from './properties.ts';
import { qtreeText } from './qtree.ts';
import { SystemBus } from './system-bus.ts';

const log: string[] = [];
const PROPS = properties({ slot: u32(0), quiet: hidden(u32(5)) });
class Card extends Device<typeof PROPS> {
  readonly out = this.outPin('');
  readonly ins = this.inPin('irq', 2, (level, index) => void log.push(`${this.id} in ${index}=${level}`));
  fails = false;
  override realize() {
    this.mapPorts(0x100 + this.props.slot * 16, 4, PORTS, 'card');
    if (this.fails) throw new Error('will not work');
  }
  override reset() {
    super.reset();
    log.push(`reset ${this.id}`);
  }
  override treeDetails() {
    return [`mmio ${this.props.slot}`];
  }
}
const PORTS = { read: () => 0x77, write() {} };
class Shelf extends Bus {
  override reset() {
    log.push(`reset bus ${this.name}`);
  }
}
class Pair extends Shelf {
  override get capacity() {
    return 2;
  }
}
typeRegister(deviceType({ name: 'card', class: Card as never, properties: PROPS }));
typeRegister({ name: 'Shelf', parent: 'bus', instance: Shelf });
typeRegister({ name: 'Pair', parent: 'bus', instance: Pair });

function card(id: string | null, slot = 0): Card {
  const made = deviceNew(Card, 'card');
  made.id = id;
  objectSet(made, 'slot', slot);
  return made;
}

beforeEach(() => {
  resetObjectRoot();
  forgetAutomaticIds();
  log.length = 0;
});

describe('buses', () => {
  it('are named after their device’s id, else numbered per type, else as told', () => {
    bareBoard();
    const named = card('nic');
    expect([busNew(Shelf, 'Shelf', named).name, busNew(Pair, 'Pair', named).name]).toEqual(['nic.0', 'nic.1']);
    const names = [busNew(Shelf, 'Shelf', card(null)), busNew(Pair, 'Pair', null), busNew(Shelf, 'Shelf', null)];
    expect(names.map((bus) => bus.name)).toEqual(['shelf.0', 'pair.0', 'shelf.1']);
    expect(busNew(Shelf, 'Shelf', null, 'main').name).toBe('main');
    expect([...objectChildren(named)].map((child) => child.nameInParent)).toEqual([
      'irq[0]',
      'irq[1]',
      'nic.0',
      'nic.1',
    ]);
  });

  it('reset what is below before what is above', () => {
    bareBoard();
    const main = busNew(Shelf, 'Shelf', null, 'main');
    const bridge = card('bridge');
    deviceRealize(bridge, main);
    const below = busNew(Shelf, 'Shelf', bridge);
    for (const [i, id] of ['a', 'b'].entries()) deviceRealize(card(id, i + 1), below);
    deviceRealize(card('last', 3), main);
    resetBus(main);
    expect(log).toEqual(['reset last', 'reset b', 'reset a', 'reset bus bridge.0', 'reset bridge', 'reset bus main']);
    log.length = 0;
    resetTree(bridge);
    expect(log.at(-1)).toBe('reset bridge');
  });

  it('link their devices as child[n], and forget one that did not come to be', () => {
    const board = bareBoard();
    const bus = busNew(Pair, 'Pair', null);
    deviceRealize(card('a'), bus);
    const broken = card('broken', 4);
    broken.fails = true;
    expect(() => deviceRealize(broken, bus)).toThrow('will not work');
    expect([broken.parent, broken.parentBus, broken.isRealized]).toEqual([null, null, false]);
    expect([board.io.find(0x140), bus.children.length]).toEqual([null, 1]);
    const second = card('b', 1);
    deviceRealize(second, bus);
    expect([...bus.ownProperties.keys()]).toEqual(['child[0]', 'child[1]']);
    expect(bus.ownProperties.get('child[1]')!.resolve!(bus)).toBe(second);
    expect(() => deviceRealize(card('c', 2), bus)).toThrow("Bus 'pair.0' is full");
    expect(() => deviceRealize(second, bus)).toThrow('card realized twice');
    expect(() => objectSet(second, 'slot', 9)).toThrow(
      "Attempt to set property 'slot' on device 'b' (type 'card') after it was realized",
    );
  });
});

describe('pins', () => {
  it('carry levels to whatever is connected, and show where they lead', () => {
    const board = bareBoard();
    const [source, target] = [card('source'), card('target', 1)];
    for (const device of [source, target]) deviceRealize(device);
    source.out.raise(); // nobody there yet
    source.out.connect(target.ins[1]!);
    source.out.pulse();
    expect(log).toEqual(['target in 1=1', 'target in 1=0']);
    expect([source.out.level, source.out.connected]).toEqual([0, target.ins[1]]);
    source.out.connect(splitPin(target.ins[0]!, target.ins[1]!));
    source.out.set(3);
    expect(log.slice(2)).toEqual(['target in 0=3', 'target in 1=3']);
    expect(objectGet(source, 'unnamed-gpio-out[0]')).toBe(''); // not one object any more
    source.out.connect(null);
    source.out.lower();
    expect(log).toHaveLength(4);
    expect(board.requests).toEqual([]);
  });
});

describe('info qtree', () => {
  it('shows buses and devices, the newest first', () => {
    bareBoard();
    const main = busNew(SystemBus, 'System', null, 'main-system-bus');
    const bridge = card(null, 1);
    main.plug(bridge);
    const below = busNew(Shelf, 'Shelf', bridge);
    deviceRealize(card('x', 2), below);
    const adopted = card('own', 3);
    deviceRealize(adopted);
    main.adopt(adopted);
    expect(qtreeText(main)).toBe(`bus: main-system-bus
  type System
  dev: card, id "own"
    gpio-in "irq" 2
    gpio-out "" 1
    slot = 3 (0x3)
    mmio 3
  dev: card, id ""
    gpio-in "irq" 2
    gpio-out "" 1
    slot = 1 (0x1)
    mmio 1
    bus: shelf.0
      type Shelf
      dev: card, id "x"
        gpio-in "irq" 2
        gpio-out "" 1
        slot = 2 (0x2)
        mmio 2
`);
  });
});
