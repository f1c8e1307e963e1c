/** Regions that are compiled already, of earlier runs or of this one, where the machine's own thread finds them: they go to work at once,
 *  without a way through the thread that compiles. */
import { read32 } from '../../../target/x86/decode/decoder.ts';
import { FIELD_BYTES } from '../address-fields.ts';
import type { KnownBlocks } from '../known-blocks.ts';
import {
  GONE,
  type KeptRegion,
  type MachineCode,
  type PlacedRegion,
  type RegionStore,
  StoredModule,
} from './kept-regions.ts';
import type { CodeBlock, CodeSource } from './plan.ts';
import { type ReadyModules, readyModule } from './regions-ahead.ts';

/** Regions that begin with the same code. */
export const MAX_VARIANTS = 4;
/** Bytes of modules of this run of which the machine uses nothing any more: their code may come back. */
const MOST_IDLE = 1 << 20;

/** A region where the shelf has it. */
export interface ShelfMatch {
  readonly module: ShelfModule;
  readonly code: WebAssembly.Module;
  /** Of the region in the module: the name of its export. */
  readonly position: number;
  readonly region: KeptRegion;
  readonly blocks: readonly CodeBlock[];
}
/** Guest code that regions are compared with. */
export interface ShelfSource extends Pick<CodeSource, 'bytes' | 'isApart' | 'pageAt'> {
  /** The block that begins there, decoded if need be. `delta`: how far it is from the head. Undefined: there is no room for it. */
  blockAt(head: CodeBlock, start: number, delta: number): CodeBlock | undefined;
}

/** A module of regions, of this run or of the store. */
export class ShelfModule {
  /** Of WebAssembly. */
  bytes: number;
  readonly stored: StoredModule | null;
  /** Its position in the catalogue, and the number of its first region among all there. */
  readonly position: number;
  readonly first: number;
  code: WebAssembly.Module | null;
  /** Null: not read yet, or of no use. */
  regions: readonly (KeptRegion | null)[] | null;
  hotCount: number;
  isLost = false;
  /** It is in the store, but its machine code is not, or V8 refused it. */
  isCold = false;
  constructor(
    stored: StoredModule | null,
    position: number,
    first: number,
    { code, regions, hotCount, bytes }: Pick<ShelfModule, 'code' | 'regions' | 'hotCount' | 'bytes'>,
  ) {
    this.stored = stored;
    this.position = position;
    this.first = first;
    this.code = code;
    this.regions = regions;
    this.hotCount = hotCount;
    this.bytes = bytes;
  }
}
interface Found {
  readonly module: ShelfModule;
  readonly position: number;
}

export class RegionShelf {
  /** Newest first. */
  private readonly byKey = new Map<number, Found[]>();
  /** Oldest first. */
  private readonly idle = new Set<ShelfModule>();
  private idleBytes = 0;
  private readonly machine: MachineCode | null;
  private readonly others: ReadyModules | null;
  /** For each region of the store: when it was first of use in this run, counted from 1, negative if its module's machine code was not;
   *  0: it was not. */
  private readonly used: Int32Array;
  private uses = 0;
  /** Modules that had their machine code. */
  ready = 0;
  readonly known: KnownBlocks | null;

  constructor(
    store: RegionStore | null,
    machine: MachineCode | null,
    used: Int32Array,
    others: ReadyModules | null = null,
  ) {
    this.others = others;
    this.machine = machine;
    this.used = used;
    this.known = store && store.catalogue.modules.length > 0 ? store.catalogue.known : null;
    let first = 0;
    store?.catalogue.modules.forEach((place, position) => {
      const { regions } = place;
      const fresh = { code: null, regions: null, hotCount: 0, bytes: 0 };
      this.put(new ShelfModule(new StoredModule(store, place), position, first, fresh), regions, false);
      first += regions.length;
    });
  }
  private put(module: ShelfModule, regions: readonly (Pick<PlacedRegion, 'key'> | null)[], isNewest: boolean): void {
    regions.forEach((region, position) => {
      if (!region || region.key === GONE) return;
      const found = { module, position };
      const variants = this.byKey.get(region.key);
      if (!variants) this.byKey.set(region.key, [found]);
      else if (isNewest) {
        variants.unshift(found);
        if (variants.length > MAX_VARIANTS) variants.pop();
      } else if (variants.length < MAX_VARIANTS) variants.push(found);
    });
  }
  /** Regions of this run, null for those that may not be found. */
  add(module: Pick<ShelfModule, 'code' | 'regions' | 'hotCount' | 'bytes'>): ShelfModule {
    const added = new ShelfModule(null, -1, -1, module);
    const keys = added.regions!.map((region) => region && { key: region.get('key') });
    this.put(added, keys, true);
    return added;
  }
  private drop(module: ShelfModule): void {
    this.takeUp(module);
    for (const region of module.regions!) {
      if (!region) continue;
      const key = region.get('key');
      const variants = this.byKey.get(key)?.filter((found) => found.module !== module);
      if (variants?.length) this.byKey.set(key, variants);
      else this.byKey.delete(key);
    }
  }

  /** The region that begins with this block, if all of its code is there as it was. `reads`: also from modules that are not here yet. */
  find(source: ShelfSource, head: CodeBlock, hotCount: number, reads = true): ShelfMatch | null {
    const variants = this.byKey.get(head.key);
    if (!variants) return null;
    for (const { module, position } of variants) {
      if (!module.code && !reads) continue;
      const region = this.regionsOf(module)?.[position];
      if (!region || module.hotCount !== hotCount || region.get('mode') !== head.mode) continue;
      const blocks = match(region, source, head);
      if (!blocks) continue;
      const code = this.codeOf(module);
      if (!code) continue;
      this.mark(module, position);
      this.takeUp(module);
      return { module, code, position, region, blocks };
    }
    return null;
  }
  private regionsOf(module: ShelfModule): ShelfModule['regions'] {
    if (module.regions || module.isLost) return module.regions;
    const text = module.stored!.text;
    module.regions = text?.regions ?? null;
    module.hotCount = text?.hotCount ?? 0;
    module.bytes = text?.wireBytes ?? 0;
    module.isLost = text === null;
    return module.regions;
  }
  /** Null: it is not as it was. */
  private codeOf(module: ShelfModule): WebAssembly.Module | null {
    const { stored } = module;
    if (module.code || !stored || module.isLost) return module.code;
    const ready = this.others?.take(module.position) ?? readyModule(stored, module.position, this.machine);
    this.others?.use(module.position);
    if (!ready) {
      module.isLost = true;
      module.regions = null;
      return null;
    }
    module.code = ready.code;
    module.isCold = ready.isCold;
    if (!ready.isCold) this.ready++;
    return module.code;
  }
  private mark({ first, isCold }: ShelfModule, position: number): void {
    if (first < 0 || this.used[first + position] !== 0) return;
    this.uses++;
    this.used[first + position] = isCold ? -this.uses : this.uses;
  }
  private takeUp(module: ShelfModule): void {
    if (this.idle.delete(module)) this.idleBytes -= module.bytes;
  }
  /** The machine uses nothing of a module any more. */
  unload(module: ShelfModule): void {
    if (module.stored) {
      module.code = null;
      return;
    }
    this.idle.add(module);
    this.idleBytes += module.bytes;
    for (const oldest of this.idle) {
      if (this.idleBytes <= MOST_IDLE) break;
      this.drop(oldest);
    }
  }
}

/** The blocks of a region as they are here, or null: something is different, or nobody knows where it lies. */
function match(region: KeptRegion, source: ShelfSource, head: CodeBlock): CodeBlock[] | null {
  const inPage = head.start & 0xfff;
  if (region.get('inPage') !== inPage) return null;
  const base = (head.start & ~0xfff) >>> 0;
  const { bytes } = source;
  const { guest } = region;
  const starts: number[] = [];
  const fields = region.fields();
  let field = fields.next().value;
  const values: number[] = [];
  let at = 0;
  for (const { delta, length } of region.blocks()) {
    const distance = Math.floor((inPage + delta) / 4096);
    const page = distance === 0 ? base : source.pageAt(head, distance);
    if (page < 0) return null;
    const start = page + (inPage + delta - distance * 4096);
    for (let i = 0; i < length; i++) {
      if (field?.at === at + i) {
        const value = read32(bytes, start + i);
        values.push(value);
        if (value - values[field.anchor]! !== field.distance) return null;
        field = fields.next().value;
        i += FIELD_BYTES - 1;
      } else if (bytes[start + i] !== guest[at + i]) return null;
    }
    starts.push(start);
    at += length;
  }
  const blocks: CodeBlock[] = [];
  for (const { delta, length, recordBytes, isApart } of region.blocks()) {
    const block = delta === 0 ? head : source.blockAt(head, starts[blocks.length]!, delta);
    if (!block || block.length !== length || block.second >= 0) return null;
    if (block.end - block.record !== recordBytes || (source.isApart(block) && !isApart)) return null;
    blocks.push(block);
  }
  return blocks;
}
