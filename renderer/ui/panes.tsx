/** A sidebar whose width is dragged or moved with the arrow keys, and tabs. */
import { type ReactElement, type ReactNode, useState } from 'react';
import { Icon, type IconName } from './icons.tsx';

const clamp = (value: number, min: number, max: number) => Math.min(Math.max(value, min), max);

function storedWidth(key: string, fallback: number): number {
  const stored = Number(localStorage.getItem(key));
  return Number.isFinite(stored) && stored > 0 ? stored : fallback;
}

export function SplitPane({
  storageKey,
  label,
  initial,
  min,
  max,
  side,
  children,
}: {
  storageKey: string;
  label: string;
  initial: number;
  min: number;
  max: number;
  side: ReactNode;
  children: ReactNode;
}): ReactElement {
  const [width, setWidth] = useState(() => clamp(storedWidth(storageKey, initial), min, max));
  const resize = (next: number) => {
    const value = Math.round(clamp(next, min, max));
    setWidth(value);
    localStorage.setItem(storageKey, String(value));
  };
  return (
    <div className="split">
      <div className="split-side" style={{ width }}>
        {side}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a focusable splitter, which hr is not */}
      <div
        className="splitter"
        role="separator"
        aria-orientation="vertical"
        aria-label={label}
        aria-valuenow={width}
        aria-valuemin={min}
        aria-valuemax={max}
        tabIndex={0}
        onKeyDown={(event) => {
          if (event.key === 'ArrowLeft') resize(width - 16);
          else if (event.key === 'ArrowRight') resize(width + 16);
          else return;
          event.preventDefault();
        }}
        onDoubleClick={() => resize(initial)}
        onPointerDown={(event) => {
          const start = event.clientX - width;
          const handle = event.currentTarget;
          handle.setPointerCapture(event.pointerId);
          const onMove = (moved: PointerEvent) => resize(moved.clientX - start);
          handle.addEventListener('pointermove', onMove);
          handle.addEventListener('pointerup', () => handle.removeEventListener('pointermove', onMove), { once: true });
        }}
      />
      <div className="split-main">{children}</div>
    </div>
  );
}

export interface TabItem<T extends string> {
  id: T;
  label: string;
  icon: IconName;
  badge?: string;
}

/** Tabs as WAI-ARIA describes them: one tab stop, arrow keys choose. */
export function Tabs<T extends string>({
  label,
  items,
  value,
  onValue,
}: {
  label: string;
  items: readonly TabItem<T>[];
  value: T;
  onValue: (value: T) => void;
}): ReactElement {
  return (
    <div
      className="tabs"
      role="tablist"
      aria-label={label}
      onKeyDown={(event) => {
        const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
        if (!step) return;
        event.preventDefault();
        const index = items.findIndex((item) => item.id === value);
        const next = items[(index + step + items.length) % items.length];
        if (!next) return;
        onValue(next.id);
        event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
      }}
    >
      {items.map((item) => (
        <button
          key={item.id}
          type="button"
          role="tab"
          data-tab={item.id}
          data-testid={`tab-${item.id}`}
          aria-selected={item.id === value}
          tabIndex={item.id === value ? 0 : -1}
          className="tab"
          onClick={() => onValue(item.id)}
        >
          <Icon name={item.icon} size={15} />
          {item.label}
          {item.badge && <span className="badge">{item.badge}</span>}
        </button>
      ))}
    </div>
  );
}
