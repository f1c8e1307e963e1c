import { afterEach, describe, expect, it, vi } from 'vitest';
import { setTraceSink, setTraceState } from '../util/trace.ts';
import { objectNew, QomObject } from './object.ts';
import {
  classIsA,
  moduleCallInit,
  moduleInit,
  type ObjectClass,
  objectClassByName,
  objectClassForEach,
  objectClassGetList,
  typeIsRegistered,
  typeRegister,
} from './type.ts';

let count = 0;
/** A name that no other test has used: the type table lives as long as the process. */
const fresh = (stem: string) => `test-${stem}-${count++}`;

/** A type table of its own, for types that break every walk over the table. */
async function ownTable(): Promise<typeof import('./type.ts')> {
  vi.resetModules();
  await import('./object.ts');
  return import('./type.ts');
}

afterEach(() => {
  setTraceState('*', false);
  setTraceSink(() => {});
});

describe('type table', () => {
  it('refuses a second type of the same name and names that are none', () => {
    const name = fresh('twice');
    typeRegister({ name, parent: 'object' });
    expect(() => typeRegister({ name, parent: 'object' })).toThrow(`Registering '${name}' which already exists`);
    for (const bad of ['', 'with space', '-dash', 'slash/es'])
      expect(() => typeRegister({ name: bad })).toThrow('name');
    expect(typeIsRegistered(name)).toBe(true);
    expect(objectClassByName(fresh('nobody'))).toBeNull();
  });

  it('lets a parent come later, but not after the first use', () => {
    const parent = fresh('parent');
    const child = fresh('child');
    typeRegister({ name: child, parent });
    expect(() => objectClassByName(child)).toThrow(`missing parent type '${parent}' of type '${child}'`);
    typeRegister({ name: parent, parent: 'object' });
    expect(objectClassByName(child)?.parentClass?.typeName).toBe(parent);
  });

  it('finds a loop of parents instead of recursing for ever', async () => {
    const own = await ownTable();
    own.typeRegister({ name: 'a', parent: 'b' });
    own.typeRegister({ name: 'b', parent: 'a' });
    expect(() => own.objectClassByName('a')).toThrow('inherits from itself');
    expect(() => own.objectClassByName('b')).toThrow('inherits from itself');
  });

  it('says which interface is missing', async () => {
    const own = await ownTable();
    own.typeRegister({ name: 'lost', parent: 'object', interfaces: ['no-such-interface'] });
    expect(() => own.objectClassByName('lost')).toThrow("missing interface 'no-such-interface' of type 'lost'");
  });

  it('initialises classes once, parents first, and lets a child inherit and override class fields', () => {
    const [parent, child, other] = [fresh('parent'), fresh('child'), fresh('other')];
    interface Named extends ObjectClass {
      colour?: string;
      size?: number;
    }
    const calls: string[] = [];
    typeRegister({
      name: child,
      parent,
      classData: 7,
      classInit(klass, data) {
        calls.push(`${klass.typeName} ${(klass as Named).colour} ${data}`);
        (klass as Named).colour = 'green';
      },
    });
    typeRegister({ name: other, parent });
    typeRegister({
      name: parent,
      parent: 'object',
      classInit(klass) {
        calls.push(klass.typeName);
        Object.assign(klass as Named, { colour: 'red', size: 3 });
      },
    });
    const childClass = objectClassByName(child) as Named;
    const otherClass = objectClassByName(other) as Named;
    objectNew(child);
    expect(calls).toEqual([parent, `${child} red 7`]);
    expect([childClass.colour, childClass.size]).toEqual(['green', 3]);
    expect([otherClass.colour, (objectClassByName(parent) as Named).colour]).toEqual(['red', 'red']);
  });

  it('makes instances of the nearest class given, initialised from the root type down', () => {
    class Thing extends QomObject {
      readonly log: string[] = [];
    }
    const [parent, child] = [fresh('parent'), fresh('child')];
    typeRegister({
      name: parent,
      parent: 'object',
      instance: Thing,
      instanceInit: (o) => void (o as Thing).log.push('parent'),
    });
    typeRegister({ name: child, parent, instanceInit: (o) => void (o as Thing).log.push('child') });
    const made = objectNew(child);
    expect(made).toBeInstanceOf(Thing);
    expect((made as Thing).log).toEqual(['parent', 'child']);
    expect(made.typeName).toBe(child);
    expect(() => new Thing()).toThrow('make it with objectNew');
  });

  it('refuses abstract and unknown types in QEMU’s words', () => {
    const name = fresh('abstract');
    typeRegister({ name, parent: 'object', abstract: true });
    const child = fresh('concrete');
    typeRegister({ name: child, parent: name });
    expect(() => objectNew(name)).toThrow(`object type '${name}' is abstract`);
    expect(() => objectNew('no-such-type')).toThrow('invalid object type: no-such-type');
    expect(objectNew(child).isA(name)).toBe(true);
  });

  it('knows interfaces, their parents and those of ancestors', () => {
    const [base, derived, device, child] = [fresh('if'), fresh('if'), fresh('dev'), fresh('dev')];
    typeRegister({ name: base, parent: 'interface', abstract: true });
    typeRegister({ name: derived, parent: base, abstract: true });
    typeRegister({ name: device, parent: 'object', interfaces: [derived] });
    typeRegister({ name: child, parent: device });
    const klass = objectClassByName(child)!;
    for (const name of [derived, base, 'interface', device, 'object']) expect(classIsA(klass, name)).toBe(true);
    expect(classIsA(klass, 'container')).toBe(false);
  });

  it('lists classes by what they implement, with abstract ones only when asked', () => {
    const [root, hidden, first, second] = [fresh('root'), fresh('hidden'), fresh('first'), fresh('second')];
    typeRegister({ name: root, parent: 'object', abstract: true });
    typeRegister({ name: first, parent: root });
    typeRegister({ name: hidden, parent: root, abstract: true });
    typeRegister({ name: second, parent: hidden });
    expect(objectClassGetList(root).map((c) => c.typeName)).toEqual([first, second]);
    expect(objectClassGetList(root, true).map((c) => c.typeName)).toEqual([root, first, hidden, second]);
    const seen: string[] = [];
    objectClassForEach((c) => seen.push(c.typeName), hidden);
    expect(seen).toEqual([second]);
  });

  it('may register types while the list is walked', () => {
    const root = fresh('root');
    typeRegister({ name: root, parent: 'object' });
    const late = fresh('late');
    objectClassForEach((c) => {
      if (c.typeName === root) typeRegister({ name: late, parent: root });
    }, root);
    expect(objectClassGetList(root).map((c) => c.typeName)).toEqual([root, late]);
  });

  it('traces registration as `parent <- name`, and each new object', () => {
    const lines: string[] = [];
    setTraceSink((line) => lines.push(line));
    setTraceState('type_register', true);
    const [parent, child] = [fresh('ide-device'), fresh('ide-cd')];
    typeRegister({ name: parent, parent: 'object' });
    typeRegister({ name: child, parent });
    objectNew(child);
    setTraceState('object_new', true);
    objectNew(child);
    expect(lines).toEqual([
      `type_register object <- ${parent}`,
      `type_register ${parent} <- ${child}`,
      `object_new ${child}`,
    ]);
  });

  it('runs the functions of a module kind once, in the order they were queued', () => {
    const calls: string[] = [];
    moduleInit('migration', () => calls.push('migration 1'));
    moduleInit('block', () => calls.push('block'));
    moduleInit('migration', () => calls.push('migration 2'));
    moduleCallInit('migration');
    moduleCallInit('migration');
    expect(calls).toEqual(['migration 1', 'migration 2']);
    expect(() => moduleInit('migration', () => {})).toThrow('after its functions were called');
  });
});
