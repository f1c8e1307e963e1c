/** `info mtree`: region trees and flat views as text, in QEMU's form. */
import { hex } from '../util/units.ts';
import { type AddressSpace, addressSpaces } from './address-space.ts';
import type { FlatRange } from './flat-view.ts';
import type { MemoryRegion } from './region.ts';

const address = (n: number) => hex(BigInt(n), 16);
/** Last address of a stretch; sizes reach 2^64, hence the big integers. */
const last = (start: number, size: number) => hex(BigInt(start) + BigInt(size) - (size > 0 ? 1n : 0n), 16).slice(-16);

/** An alias is of the kind of what it shows, whatever it says of itself. */
function kindName(region: MemoryRegion): string {
  if (region.aliasTarget) return kindName(region.aliasTarget);
  if (region.kind === 'romd') return region.isRomdMode ? 'romd' : 'i/o';
  if (!region.ram) return 'i/o';
  return region.isReadonly ? 'rom' : 'ram';
}

function drawTree(
  region: MemoryRegion,
  base: number,
  level: number,
  lines: string[],
  aliases: Set<MemoryRegion>,
  showDisabled: boolean,
): void {
  const start = base + region.address;
  const indent = '  '.repeat(level);
  const disabled = region.isEnabled ? '' : ' [disabled]';
  const head = `${indent}${address(start)}-${last(start, region.size)}`;
  const isShown = region.isEnabled || showDisabled;
  if (region.aliasTarget) aliases.add(region.aliasTarget);
  if (isShown && region.aliasTarget)
    lines.push(
      `${head} (prio ${region.priority}, ${kindName(region)}): alias ${region.regionName} @${region.aliasTarget.regionName} ` +
        `${address(region.aliasOffset)}-${last(region.aliasOffset, region.size)}${disabled}`,
    );
  else if (isShown)
    lines.push(`${head} (prio ${region.priority}, ${kindName(region)}): ${region.regionName}${disabled}`);
  // What is in a disabled container is listed all the same, at its depth.
  const sorted = [...region.subregions].sort((a, b) => a.address - b.address || b.priority - a.priority);
  for (const sub of sorted) drawTree(sub, start, level + 1, lines, aliases, showDisabled);
}

/** `info mtree`: every address space, then the targets of aliases. Spaces with the same root share an entry. */
export function mtreeText(showDisabled = false): string {
  const lines: string[] = [];
  const aliases = new Set<MemoryRegion>();
  const byRoot = new Map<MemoryRegion, AddressSpace[]>();
  for (const space of addressSpaces()) byRoot.set(space.root, [...(byRoot.get(space.root) ?? []), space]);
  for (const [root, spaces] of byRoot) {
    for (const space of spaces.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
      lines.push(`address-space: ${space.name}`);
    drawTree(root, 0, 1, lines, aliases, showDisabled);
    lines.push('');
  }
  for (const region of aliases) {
    lines.push(`memory-region: ${region.regionName}`);
    drawTree(region, 0, 1, lines, aliases, showDisabled);
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}

function rangeLine(range: FlatRange): string {
  const offset = range.offset === 0 ? '' : ` @${address(range.offset)}`;
  return (
    `  ${address(range.start)}-${last(range.start, range.size)} ` +
    `(prio ${range.region.priority}, ${range.isReadonly ? 'rom' : kindName(range.region)}): ${range.region.regionName}${offset}`
  );
}

/** What a root region comes down to: follows whole aliases and only children. Null: nothing is there at all. */
function flatViewRoot(root: MemoryRegion): MemoryRegion | null {
  let region = root;
  for (;;) {
    const { aliasTarget } = region;
    if (aliasTarget) {
      if (region.aliasOffset !== 0 || region.size < aliasTarget.size) return region;
      region = aliasTarget;
    } else if (region.kind === 'container') {
      const enabled = region.subregions.filter((sub) => sub.isEnabled);
      const [only] = enabled;
      if (!only) return null;
      if (enabled.length > 1 || only.address !== 0 || only.size > region.size) return region;
      region = only;
    } else return region;
  }
}

/** `info mtree -f`: spaces that see the same share a view. */
export function flatViewText(): string {
  const lines: string[] = [];
  const byRoot = new Map<MemoryRegion | null, AddressSpace[]>();
  for (const space of addressSpaces()) {
    const root = flatViewRoot(space.root);
    byRoot.set(root, [...(byRoot.get(root) ?? []), space]);
  }
  let number = 0;
  for (const [root, spaces] of byRoot) {
    lines.push(`FlatView #${number++}`);
    for (const space of spaces) lines.push(` AS "${space.name}", root: ${space.root.regionName}`);
    const { flatView } = spaces[0]!;
    lines.push(` Root memory region: ${root?.regionName ?? '(none)'}`);
    if (flatView.length === 0) lines.push('  No rendered FlatView');
    for (const range of flatView) lines.push(rangeLine(range));
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}
