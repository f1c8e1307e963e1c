/** What cylinders, heads and sectors a disk is said to have, and which translation its BIOS uses. */
import type { Geometry } from './ide-unit.ts';

const MAX_CYLINDERS = 16383;
const HEADS = 16;
const SECTORS = 63;
const PARTITION_TABLE = 0x1be;
const PARTITIONS = 4;

export type Translation = 'auto' | 'none' | 'lba' | 'large' | 'rechs';

function standard(sectors: number): Geometry {
  const cylinders = Math.min(MAX_CYLINDERS, Math.max(2, Math.floor(sectors / (HEADS * SECTORS))));
  return { cylinders, heads: HEADS, sectors: SECTORS };
}

/** The geometry that a partition table was made with; null when there is none to tell. */
function fromPartitionTable(head: Uint8Array, sectors: number): Geometry | null {
  if (head.length < 512 || head[510] !== 0x55 || head[511] !== 0xaa) return null;
  for (let i = 0; i < PARTITIONS; i++) {
    const at = PARTITION_TABLE + 16 * i;
    const length = head[at + 12]! | (head[at + 13]! << 8) | (head[at + 14]! << 16) | (head[at + 15]! << 24);
    const lastHead = head[at + 5]!;
    if (length === 0 || lastHead === 0) continue;
    const heads = lastHead + 1;
    const perTrack = head[at + 6]! & 63;
    if (perTrack === 0) continue;
    const cylinders = Math.floor(sectors / (heads * perTrack));
    if (cylinders < 1 || cylinders > MAX_CYLINDERS) continue;
    return { cylinders, heads, sectors: perTrack };
  }
  return null;
}

export function guessGeometry(sectors: number, head: Uint8Array): { geometry: Geometry; translation: Translation } {
  const logical = fromPartitionTable(head, sectors);
  const geometry = logical && logical.heads <= HEADS ? logical : standard(sectors);
  if (logical && logical.heads > HEADS)
    return { geometry, translation: geometry.cylinders * geometry.heads <= 131072 ? 'large' : 'lba' };
  if (logical) return { geometry, translation: 'none' };
  return { geometry, translation: automaticTranslation(geometry) };
}
export function automaticTranslation({ cylinders, heads, sectors }: Geometry): Translation {
  return cylinders <= 1024 && heads <= HEADS && sectors <= SECTORS ? 'none' : 'lba';
}
