import { beforeEach, describe, expect, it } from 'vitest';
import {
  classFindProperty,
  containerGet,
  objectAddChild,
  objectAddLink,
  objectAddProperty,
  objectCanonicalPath,
  objectChildren,
  objectClassAddProperty,
  objectDeleteProperty,
  objectGet,
  objectInitialize,
  objectNew,
  objectNewAs,
  objectProperties,
  objectRef,
  objectResolvePath,
  objectRoot,
  objectSet,
  objectUnparent,
  objectUnref,
  QomObject,
  resetObjectRoot,
} from './object.ts';
import { qomTreeText } from './tree-text.ts';
import { objectClassByName, typeRegister } from './type.ts';

const log: string[] = [];
class Part extends QomObject {
  value = 0;
  override unparentHook(): void {
    log.push(`unparent ${this.nameInParent}`);
  }
  override finalize(): void {
    log.push('finalize');
  }
}
typeRegister({
  name: 'part',
  parent: 'object',
  instance: Part,
  classInit(klass) {
    objectClassAddProperty(klass, {
      name: 'value',
      type: 'uint8',
      get: (o) => (o as Part).value,
      set: (o, v) => {
        (o as Part).value = v as number;
      },
    });
  },
  instanceFinalize: () => void log.push('part goes'),
});
typeRegister({
  name: 'small-part',
  parent: 'part',
  classInit(klass) {
    objectClassAddProperty(klass, { name: 'value', type: 'uint16', get: () => 99 });
    objectClassAddProperty(klass, { name: 'secret', type: 'str', set: () => {} });
  },
  instanceFinalize: () => void log.push('small part goes'),
});
const part = (type = 'part') => objectNewAs(Part, type);
/** Adds to the tree and gives up the caller's reference, as boards do. */
function put(parent: QomObject, name: string, child = part()): Part {
  objectAddChild(parent, name, child);
  objectUnref(child);
  return child;
}

beforeEach(() => {
  resetObjectRoot();
  log.length = 0;
});

describe('properties', () => {
  it('are looked up in the object, then its class, then the ancestors', () => {
    const small = part('small-part');
    expect(objectGet(small, 'value')).toBe(99);
    expect(objectGet(part(), 'value')).toBe(0);
    expect(objectGet(small, 'type')).toBe('small-part');
    objectAddProperty(small, { name: 'own', type: 'str', get: () => 'mine' });
    expect([...objectProperties(small)].map((p) => `${p.name} ${p.type}`)).toEqual([
      'own str',
      'value uint16',
      'secret str',
      'value uint8',
      'type string',
    ]);
    expect(classFindProperty(objectClassByName('small-part')!, 'own')).toBeUndefined();
  });

  it('refuse what they cannot do in QEMU’s words', () => {
    const small = part('small-part');
    expect(() => objectGet(small, 'nosuch')).toThrow("Property 'small-part.nosuch' not found");
    expect(() => objectSet(small, 'nosuch', 1)).toThrow("Property 'small-part.nosuch' not found");
    expect(() => objectSet(small, 'value', 1)).toThrow("Property 'small-part.value' is not writable");
    expect(() => objectGet(small, 'secret')).toThrow("Property 'small-part.secret' is not readable");
  });

  it('refuse duplicates, of class properties too, and number `[*]` names without gaps', () => {
    const object = part();
    const add = (name: string) => objectAddProperty(object, { name, type: 'str' });
    add('a');
    expect(() => add('a')).toThrow("attempt to add duplicate property 'a' to object (type 'part')");
    expect(() => add('value')).toThrow("duplicate property 'value'");
    expect([add('irq[*]'), add('irq[*]'), add('irq[*]')]).toEqual(['irq[0]', 'irq[1]', 'irq[2]']);
    objectDeleteProperty(object, 'irq[1]');
    expect(add('irq[*]')).toBe('irq[1]');
    expect(() => objectClassAddProperty(objectClassByName('part')!, { name: 'value', type: 'str' })).toThrow('twice');
    expect(() => objectDeleteProperty(object, 'gone')).toThrow("part has no property 'gone'");
  });
});

describe('composition tree', () => {
  it('gives canonical paths, and none to what is outside of it', () => {
    const machine = put(objectRoot(), 'machine');
    const disk = put(machine, 'disk[*]');
    expect(objectCanonicalPath(disk)).toBe('/machine/disk[0]');
    expect(objectCanonicalPath(objectRoot())).toBe('/');
    expect(objectCanonicalPath(part())).toBe('');
    expect(objectGet(machine, 'disk[0]')).toBe('/machine/disk[0]');
    expect(machine.ownProperties.get('disk[0]')!.type).toBe('child<part>');
    expect([...objectChildren(machine)]).toEqual([disk]);
    expect(() => objectAddChild(objectRoot(), 'again', disk)).toThrow('already has a parent');
    const stray = part();
    expect(() => objectAddChild(machine, 'disk[0]', stray)).toThrow('duplicate');
    expect([stray.parent, stray.references]).toEqual([null, 1]);
  });

  it('resolves absolute paths, partial ones when they are unique, and by type', () => {
    const machine = put(objectRoot(), 'machine');
    const [left, right] = [put(machine, 'left'), put(machine, 'right', part('small-part'))];
    const leftDisk = put(left, 'disk');
    put(right, 'disk');
    const find = (path: string, type?: string) => objectResolvePath(path, type);
    expect(find('/machine/left/disk').object).toBe(leftDisk);
    expect(find('/').object).toBe(objectRoot());
    expect(find('machine').object).toBe(machine);
    expect(find('left/disk').object).toBe(leftDisk);
    expect(find('disk')).toEqual({ object: null, isAmbiguous: true });
    expect(find('right', 'small-part').object).toBe(right);
    expect(find('left', 'small-part')).toEqual({ object: null, isAmbiguous: false });
    expect(find('/machine/nobody')).toEqual({ object: null, isAmbiguous: false });
    expect(find('/machine/left/value').object).toBeNull();
  });

  it('is not ambiguous when a link gives the same object another name', () => {
    const machine = put(objectRoot(), 'machine');
    const disk = put(machine, 'disk');
    const user = put(machine, 'user');
    objectAddLink(user, 'disk', 'part', { get: () => disk });
    expect(objectResolvePath('disk')).toEqual({ object: disk, isAmbiguous: false });
    expect(objectResolvePath('/machine/user/disk').object).toBe(disk);
  });

  it('makes containers on the way and finds them again', () => {
    const a = containerGet('/a/b');
    expect(objectCanonicalPath(a)).toBe('/a/b');
    expect(containerGet('/a/b')).toBe(a);
    expect(containerGet('/')).toBe(objectRoot());
  });

  it('prints `info qom-tree` with children by name', () => {
    const machine = put(objectRoot(), 'machine');
    put(machine, 'b');
    put(put(machine, 'a', part('small-part')), 'inner');
    expect(qomTreeText()).toBe('/machine (part)\n  /a (small-part)\n    /inner (part)\n  /b (part)\n');
    expect(() => qomTreeText('/nobody')).toThrow("Path '/nobody' could not be resolved.");
    put(objectRoot(), 'b');
    expect(() => qomTreeText('b')).toThrow("Path 'b' does not uniquely identify an object");
    expect(qomTreeText('/machine/b')).toBe('/b (part)\n');
  });
});

describe('links', () => {
  it('read and set by path, checked for their type', () => {
    const machine = put(objectRoot(), 'machine');
    const target = put(machine, 'target', part('small-part'));
    put(machine, 'plain');
    const user = put(machine, 'user');
    let value: QomObject | null = null;
    objectAddLink(user, 'drive', 'small-part', {
      get: () => value,
      set: (to) => {
        value = to;
      },
    });
    expect(objectGet(user, 'drive')).toBe('');
    objectSet(user, 'drive', '/machine/target');
    expect(value).toBe(target);
    expect(objectGet(user, 'drive')).toBe('/machine/target');
    expect(() => objectSet(user, 'drive', '/machine/plain')).toThrow(
      "Invalid parameter type for 'drive', expected: small-part",
    );
    expect(() => objectSet(user, 'drive', '/machine/nobody')).toThrow("Device '/machine/nobody' not found");
    expect(() => objectSet(user, 'drive', 5)).toThrow("Invalid parameter type for 'drive', expected: string");
    expect(value).toBe(target);
    put(user, 'target', part('small-part'));
    expect(() => objectSet(user, 'drive', 'target')).toThrow("Path 'target' does not uniquely identify an object");
    objectSet(user, 'drive', '');
    expect(value).toBeNull();
    objectAddLink(user, 'fixed', 'part', { get: () => target });
    expect(() => objectSet(user, 'fixed', '')).toThrow("Property 'part.fixed' is not writable");
  });
});

describe('life and death', () => {
  it('ends an object with its last reference: properties first, then its type, then the parents’', () => {
    const small = part('small-part');
    objectAddProperty(small, { name: 'held', type: 'str', release: () => void log.push('release held') });
    objectRef(small);
    objectUnref(small);
    expect(log).toEqual([]);
    objectUnref(small);
    expect(log).toEqual(['release held', 'small part goes', 'part goes', 'finalize']);
    expect(() => objectUnref(small)).toThrow('released too often');
  });

  it('takes the whole subtree along when an object leaves the tree', () => {
    const machine = put(objectRoot(), 'machine');
    const inner = objectInitialize(machine, 'inner', Part, 'part');
    expect(inner.references).toBe(1);
    put(inner, 'leaf');
    objectUnparent(machine);
    expect(log).toEqual([
      'unparent machine',
      'unparent inner',
      'unparent leaf',
      'part goes',
      'finalize',
      'part goes',
      'finalize',
      'part goes',
      'finalize',
    ]);
    expect(machine.parent).toBeNull();
    expect(objectResolvePath('/machine').object).toBeNull();
    objectUnparent(machine); // once more is no harm
  });

  it('keeps what someone else still holds', () => {
    const machine = put(objectRoot(), 'machine');
    const kept = put(machine, 'kept');
    objectRef(kept);
    objectUnparent(machine);
    expect(log.filter((line) => line === 'finalize')).toHaveLength(1);
    expect([kept.parent, kept.nameInParent, kept.references]).toEqual([null, '', 1]);
    put(objectRoot(), 'again', kept);
    expect(objectCanonicalPath(kept)).toBe('/again');
  });

  it('says when a type is not what the caller takes it for', () => {
    expect(() => objectNewAs(Part, 'container')).toThrow("'container' is not a Part");
    expect(objectNew('container').isA('object')).toBe(true);
  });
});
