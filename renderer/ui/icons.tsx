/** Line icons on a 16-unit grid, drawn for Terrarium: 1.4 units of stroke, round ends, currentColor. */
import type { ReactElement } from 'react';

const PATHS = {
  plus: 'M8 3v10M3 8h10',
  play: 'M5 3.2v9.6a.4.4 0 0 0 .6.35l7.9-4.8a.4.4 0 0 0 0-.7L5.6 2.85A.4.4 0 0 0 5 3.2z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  stop: 'M4 4h8v8H4z',
  reset: 'M13 8a5 5 0 1 1-1.6-3.7M13 2.6v2.6h-2.6',
  power: 'M8 2.2v5.3M4.7 4.2a5 5 0 1 0 6.6 0',
  acpi: 'M3 3.5h10v7H3zM6 13.2h4M8 10.6v2.6M8 5.2v2',
  settings:
    'M2.5 4.5h5M11 4.5h2.5M2.5 11.5H5M8.5 11.5h5M9.2 4.5m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0M6.8 11.5m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0',
  search: 'M7 7m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0M10.2 10.2l3.3 3.3',
  close: 'M4 4l8 8M12 4l-8 8',
  check: 'M3.2 8.4l3.1 3.1 6.5-7',
  chevronDown: 'M4 6.2l4 4 4-4',
  chevronRight: 'M6.2 4l4 4-4 4',
  chevronLeft: 'M9.8 4l-4 4 4 4',
  chevronUp: 'M4 9.8l4-4 4 4',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  disc: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 8m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0',
  disk: 'M2.4 9.4h11.2M2.4 9.4v2.4c0 .7.5 1.2 1.2 1.2h8.8c.7 0 1.2-.5 1.2-1.2V9.4M2.4 9.4l1.5-5.3c.2-.6.7-1.1 1.4-1.1h5.4c.7 0 1.2.5 1.4 1.1l1.5 5.3M11.3 11.2h.01M9.2 11.2h.01',
  controller: 'M2.5 5h11v6h-11zM5 11v2M8 11v2M11 11v2M5 5V3M8 5V3M11 5V3',
  cpu: 'M4.5 4.5h7v7h-7zM6.7 6.7h2.6v2.6H6.7zM6.5 4.5v-2M9.5 4.5v-2M6.5 13.5v-2M9.5 13.5v-2M4.5 6.5h-2M4.5 9.5h-2M13.5 6.5h-2M13.5 9.5h-2',
  compiled: 'M8.8 1.8L3.6 9h4l-.6 5.2L12.4 7h-4z',
  speed: 'M3.2 12.4a5.9 5.9 0 1 1 9.6 0M8 9.2l2.6-3.4M8 9.2h.01',
  memory: 'M2 5h12v5.5H2zM4 10.5V12M6.7 10.5V12M9.3 10.5V12M12 10.5V12M5 7v1.5M8 7v1.5M11 7v1.5',
  display: 'M2 3h12v8H2zM5.5 13.5h5M8 11v2.5',
  serial:
    'M2 5.2h12l-1.2 5.2a.8.8 0 0 1-.8.6H4a.8.8 0 0 1-.8-.6zM5 7.3h.01M8 7.3h.01M11 7.3h.01M6.5 9.1h.01M9.5 9.1h.01',
  terminal: 'M2 3h12v10H2zM4.5 6l2.2 2-2.2 2M8.4 10.2h3',
  log: 'M4 2h5.5L12.5 5v9H4zM9.3 2.2V5h3M6 8h4.5M6 10.8h4.5',
  general: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 7.4v3.4M8 5.2h.01',
  advanced: 'M5.2 4.5L2 8l3.2 3.5M10.8 4.5L14 8l-3.2 3.5M9.2 3.2L6.8 12.8',
  trash: 'M3 4.3h10M6.3 4.3V2.8h3.4v1.5M4.3 4.3l.6 8.4c0 .5.4.8.9.8h4.4c.5 0 .9-.3.9-.8l.6-8.4M6.8 6.8v4M9.2 6.8v4',
  edit: 'M3 13l.6-2.8 7-7a1 1 0 0 1 1.4 0l.8.8a1 1 0 0 1 0 1.4l-7 7zM9.4 4.4l2.2 2.2',
  copy: 'M5.5 5.5h7.5V13H5.5zM3 10.5V3h7.5',
  eject: 'M8 3.2L3.2 9.3h9.6zM3.2 12.4h9.6',
  folder: 'M2 4.2c0-.5.4-.9.9-.9h3l1.4 1.6h5.8c.5 0 .9.4.9.9v6c0 .5-.4.9-.9.9H2.9a.9.9 0 0 1-.9-.9z',
  folderUp:
    'M2 4.2c0-.5.4-.9.9-.9h3l1.4 1.6h5.8c.5 0 .9.4.9.9v6c0 .5-.4.9-.9.9H2.9a.9.9 0 0 1-.9-.9zM8 11V7.2M6.2 8.8L8 7l1.8 1.8',
  file: 'M4 2h5.5L12.5 5v9H4zM9.3 2.2V5h3',
  home: 'M2.5 7.6L8 3l5.5 4.6M4 6.6V13h8V6.6',
  camera:
    'M2 5.3c0-.4.4-.8.8-.8h2l1-1.5h4.4l1 1.5h2c.4 0 .8.4.8.8v6.4c0 .4-.4.8-.8.8H2.8a.8.8 0 0 1-.8-.8zM8 8.4m-2.3 0a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0',
  fullscreen: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  exitFullscreen: 'M6 2.5V6H2.5M13.5 6H10V2.5M10 13.5V10h3.5M2.5 10H6v3.5',
  fit: 'M2 3h12v10H2zM5 6h6v4H5z',
  keyboard: 'M1.8 4h12.4v8H1.8zM4 6.4h.01M6.4 6.4h.01M8.8 6.4h.01M11.4 6.4h.01M5 9.6h6',
  mouse: 'M4.6 6.4a3.4 3.4 0 0 1 6.8 0v3.2a3.4 3.4 0 0 1-6.8 0zM8 4.6v2',
  paste: 'M5.6 3.4H3.4V13.6h9.2V3.4h-2.2M5.6 2.2h4.8v2.4H5.6zM5.8 8h4.4M5.8 10.6h3',
  warning: 'M8 2.6l6 10.6H2zM8 6.6v3M8 11.4h.01',
  error: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 5v3.6M8 10.9h.01',
  info: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 7.4v3.4M8 5.2h.01',
  ok: 'M8 8m-5.7 0a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M5.4 8.2l1.9 1.9 3.4-3.8',
  preferences:
    'M8 8m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0M8 1.8v1.9M8 12.3v1.9M14.2 8h-1.9M3.7 8H1.8M12.4 3.6l-1.4 1.4M5 11l-1.4 1.4M12.4 12.4L11 11M5 5L3.6 3.6',
  sun: 'M8 8m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0M8 1.8v1.4M8 12.8v1.4M14.2 8h-1.4M3.2 8H1.8M12.4 3.6l-1 1M4.6 11.4l-1 1M12.4 12.4l-1-1M4.6 4.6l-1-1',
  moon: 'M13 9.6A5.6 5.6 0 0 1 6.4 3 5.6 5.6 0 1 0 13 9.6z',
  drop: 'M8 2.5v7M5 6.8l3 3 3-3M2.5 10.5v2c0 .6.4 1 1 1h9c.6 0 1-.4 1-1v-2',
  upload: 'M8 10V3M5 5.7l3-3 3 3M2.5 10.5v2c0 .6.4 1 1 1h9c.6 0 1-.4 1-1v-2',
  download: 'M8 2.5v7M5 6.8l3 3 3-3M2.5 13.5h11',
  clear: 'M3 13h10M4.2 10.2l5.9-6.4 2.9 2.7-5.6 6H6z',
  link: 'M6.5 9.5l3-3M7 4.8l1.2-1.2a2.7 2.7 0 0 1 3.9 3.8l-1.3 1.2M9 11.2l-1.2 1.2a2.7 2.7 0 0 1-3.9-3.8l1.3-1.2',
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set(['play', 'stop']);

/** One icon; decorative unless `label` is given. */
export function Icon({ name, size = 16, label }: { name: IconName; size?: number; label?: string }): ReactElement {
  const dots = name === 'more';
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill={FILLED.has(name) ? 'currentColor' : 'none'}
      stroke="currentColor"
      strokeWidth={dots ? 2.2 : 1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      role={label ? 'img' : undefined}
      aria-label={label}
      aria-hidden={label ? undefined : true}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The product's mark: a jar with a sprout. */
export function Mark({ size = 24 }: { size?: number }): ReactElement {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path
        d="M7 10.5A2.5 2.5 0 0 1 9.5 8h13a2.5 2.5 0 0 1 2.5 2.5V23a5 5 0 0 1-5 5h-8a5 5 0 0 1-5-5z"
        fill="var(--accent-soft)"
        stroke="var(--accent)"
        strokeWidth="1.8"
      />
      <path
        d="M7.6 21.5c2.8-1.6 5.4-1.4 8.4 0s5.6 1.6 8.4 0V23a4.4 4.4 0 0 1-4.4 4.4h-8A4.4 4.4 0 0 1 7.6 23z"
        fill="var(--accent)"
        opacity=".55"
      />
      <path d="M16 21.8v-7.3" stroke="var(--accent)" strokeWidth="1.9" strokeLinecap="round" />
      <path
        d="M16 16.5c0-3 1.8-4.8 4.9-4.8 0 3-1.8 4.8-4.9 4.8zM16 19.4c0-2.6-1.7-4.3-4.6-4.3 0 2.7 1.7 4.3 4.6 4.3z"
        fill="var(--accent)"
      />
      <path d="M10 4.5h12" stroke="var(--accent)" strokeWidth="1.9" strokeLinecap="round" />
    </svg>
  );
}
