/** The monitor's texts in a form that can be compared although parts are missing and numbers that depend on them differ. */
import { readFileSync } from 'node:fs';

/** The texts of a fixture by heading. */
export function readTexts(name: string): Map<string, string> {
  const text = readFileSync(new URL(`../fixtures/qemu-7.2/monitor/${name}.txt`, import.meta.url), 'utf8');
  const parts = text.split(/^### /m).slice(1);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]));
}

const indentOf = (line: string) => line.length - line.trimStart().length;
const linesOf = (text: string) =>
  text
    .replaceAll('\r', '')
    .split('\n')
    .filter((line) => line.trim() !== '');

/** Drops each line that `isRoot` names, with all that is indented further below it. */
function withoutBranches(lines: readonly string[], isRoot: (line: string) => boolean): string[] {
  const kept: string[] = [];
  let dropped = Number.POSITIVE_INFINITY;
  for (const line of lines) {
    if (indentOf(line) > dropped) continue;
    dropped = isRoot(line) ? indentOf(line) : Number.POSITIVE_INFINITY;
    if (dropped === Number.POSITIVE_INFINITY) kept.push(line);
  }
  return kept;
}

/** `info qtree` without devices of the given types. */
export function qtree(text: string, without: readonly string[]): string[] {
  return withoutBranches(linesOf(text), (line) => without.includes(/^ *dev: ([^,]+),/.exec(line)?.[1] ?? ''));
}

/** `info qom-tree` without objects of the given types and regions; `device[N]` numbered anew, in the order of the numbers. */
export function qomTree(text: string, withoutTypes: readonly string[], withoutRegions: readonly string[]): string[] {
  const lines = withoutBranches(linesOf(text), (line) => {
    const [, name = '', type = ''] = /^ *\/(.*?)(?:\[\d+\])? \(([^)]+)\)$/.exec(line) ?? [];
    return withoutTypes.includes(type) || (type === 'memory-region' && withoutRegions.includes(name));
  });
  const numberOf = (line: string) => Number(/^ *\/device\[(\d+)\]/.exec(line)?.[1] ?? -1);
  const numbers = lines
    .map(numberOf)
    .filter((number) => number >= 0)
    .sort((a, b) => a - b);
  const branches: string[][] = [];
  const others: string[] = [];
  let branch: string[] | undefined;
  for (const line of lines) {
    if (numberOf(line) >= 0) {
      branch = [line];
      branches.push(branch);
    } else if (branch && indentOf(line) > indentOf(branch[0]!)) branch.push(line);
    else {
      branch = undefined;
      if (!/\/non-qdev-gpio\[\d+\] \(irq\)/.test(line)) others.push(line); // as many as interrupt controllers want
    }
  }
  branches.sort((a, b) => numberOf(a[0]!) - numberOf(b[0]!));
  for (const each of branches) each[0] = each[0]!.replace(/\[\d+\]/, () => `[${numbers.indexOf(numberOf(each[0]!))}]`);
  return [...others, ...branches.flat()];
}

const regionOf = (line: string) => /\): (?:alias )?(.*?)(?: @.*| \[disabled\])*$/.exec(line)?.[1] ?? '';

/** `info mtree` as one entry per address space or region, in alphabetical order: QEMU's own order is a hash table's. */
export function mtree(text: string, withoutRegions: readonly string[], withoutSpaces: readonly string[]): string[] {
  const sections = text.replaceAll('\r', '').split(/^(?=address-space: |memory-region: )/m);
  return sections
    .map((section) =>
      linesOf(section)
        .filter((line) => !withoutRegions.includes(regionOf(line)))
        .join('\n'),
    )
    .filter((section) => section !== '' && !withoutSpaces.some((name) => section.startsWith(`address-space: ${name}`)))
    .sort();
}

/** `info mtree -f` as one entry per view; the gaps between ports, which depend on the ports, left out. */
export function flatViews(text: string, withoutRegions: readonly string[], withoutSpaces: readonly string[]): string[] {
  return text
    .replaceAll('\r', '')
    .split(/^FlatView #\d+$/m)
    .map((view) => {
      const lines = linesOf(view).filter(
        (line) => !withoutRegions.includes(regionOf(line)) && !/\(prio 0, i\/o\): io( @|$)/.test(line),
      );
      const spaces = lines.filter((line) => line.startsWith(' AS '));
      const kept = spaces.filter((line) => !withoutSpaces.some((name) => line.startsWith(` AS "${name}"`))).sort();
      return [...kept, ...lines.filter((line) => !line.startsWith(' AS '))].join('\n');
    })
    .filter((view) => view !== '')
    .sort();
}

/** `info pci` without functions whose description names one of the identifiers. */
export function pci(text: string, withoutIds: readonly string[]): string[] {
  return text
    .replaceAll('\r', '')
    .split(/^(?= {2}Bus)/m)
    .filter((each) => each.trim() !== '' && !withoutIds.some((id) => each.includes(`PCI device ${id}`)))
    .map((each) => each.trimEnd());
}
