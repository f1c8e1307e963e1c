/** A tile per family of guest system: our own glyphs, nobody's trade marks. */
import type { ReactElement } from 'react';

interface Tile {
  hue: number;
  glyph: ReactElement;
}

const stroke = {
  fill: 'none',
  stroke: 'currentColor',
  strokeWidth: 1.7,
  strokeLinecap: 'round',
  strokeLinejoin: 'round',
} as const;

const TILES: Record<string, Tile> = {
  grub: { hue: 32, glyph: <path {...stroke} d="M6 7h12M6 11h12M6 15h7M16 14l2.5 1.5L16 17" /> },
  linux: { hue: 162, glyph: <path {...stroke} d="M7 8l4 4-4 4M12.5 16.5H18" /> },
  bsd: {
    hue: 4,
    glyph: (
      <path
        {...stroke}
        d="M7.5 9.5C6 8 6 6.5 6.5 5.5c1.2.2 2.3.9 3 2M16.5 9.5c1.5-1.5 1.5-3 1-4-1.2.2-2.3.9-3 2M12 18.5a5.5 5.5 0 1 0 0-11a5.5 5.5 0 0 0 0 11zM10 12.2h.01M14 12.2h.01M10.3 15.2c1 .7 2.4.7 3.4 0"
      />
    ),
  },
  windows: { hue: 212, glyph: <path {...stroke} d="M5.5 5.5h13v13h-13zM12 5.5v13M5.5 12h13" /> },
  dos: { hue: 262, glyph: <path {...stroke} d="M6 7v10M9 7l4 10M15.5 17H19" /> },
  other: { hue: 196, glyph: <path {...stroke} d="M5 6.5h14v9H5zM9 19h6M12 15.5V19" /> },
};

function tileOf(family: string): Tile {
  const key = family.toLowerCase();
  if (key.includes('grub') || key.includes('boot')) return TILES.grub!;
  if (key.includes('linux') || key.includes('debian') || key.includes('ubuntu')) return TILES.linux!;
  if (key.includes('bsd')) return TILES.bsd!;
  if (key.includes('win')) return TILES.windows!;
  if (key.includes('dos')) return TILES.dos!;
  return TILES.other!;
}

/** The tile of a guest family's identifier (`linux`, `windows-xp`, `dos` …). */
export function OsIcon({ os, size = 32 }: { os: string; size?: number }): ReactElement {
  const tile = tileOf(os);
  return (
    <span
      className="os-icon"
      style={{ width: size, height: size, borderRadius: size * 0.24, ['--hue' as string]: tile.hue }}
    >
      <svg width={size * 0.78} height={size * 0.78} viewBox="0 0 24 24" aria-hidden="true">
        {tile.glyph}
      </svg>
    </span>
  );
}
