/** `info qom-tree`: the composition tree as text, children in the order of their names. */

import { UserError } from '../util/errors.ts';
import { objectChildren, objectResolvePath, type QomObject } from './object.ts';

function print(object: QomObject, name: string, indent: number, lines: string[]): void {
  lines.push(`${' '.repeat(indent)}/${name} (${object.typeName})`);
  const children = [...objectChildren(object)].sort((a, b) => (a.nameInParent < b.nameInParent ? -1 : 1));
  for (const child of children) print(child, child.nameInParent, indent + 2, lines);
}

/** @throws UserError when the path leads nowhere or to several objects */
export function qomTreeText(path = '/machine'): string {
  const { object, isAmbiguous } = objectResolvePath(path);
  if (isAmbiguous) throw new UserError(`Path '${path}' does not uniquely identify an object`);
  if (!object) throw new UserError(`Path '${path}' could not be resolved.`);
  const lines: string[] = [];
  print(object, object.nameInParent, 0, lines);
  return `${lines.join('\n')}\n`;
}
