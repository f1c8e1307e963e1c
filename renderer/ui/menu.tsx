/** Drop-down and context menus in the browser's top layer, with the keyboard behaviour of native menus. */
import { type ReactElement, type ReactNode, useLayoutEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { Icon, type IconName } from './icons.tsx';

export interface MenuItem {
  id: string;
  label: string;
  icon?: IconName;
  detail?: string;
  disabled?: boolean;
  danger?: boolean;
  checked?: boolean;
  run: () => void;
}
export type MenuEntry = MenuItem | 'separator' | { heading: string };

const isItem = (entry: MenuEntry): entry is MenuItem => typeof entry === 'object' && 'id' in entry;

/** A menu open at a point of the window; it moves itself inside the window's edges. */
export function Menu({
  at,
  entries,
  label,
  onClose,
}: {
  at: { x: number; y: number; alignRight?: boolean; flipY?: number };
  entries: readonly MenuEntry[];
  label: string;
  onClose: () => void;
}): ReactElement {
  const ref = useRef<HTMLDivElement>(null);
  const [host] = useState(() => {
    const dialogs = document.querySelectorAll('dialog[open]');
    return document.fullscreenElement ?? dialogs[dialogs.length - 1] ?? document.body;
  });
  useLayoutEffect(() => {
    const before = document.activeElement instanceof HTMLElement ? document.activeElement : undefined;
    return () => before?.focus();
  }, []);
  useLayoutEffect(() => {
    const menu = ref.current!;
    const box = menu.getBoundingClientRect();
    const x = at.alignRight ? at.x - box.width : at.x;
    const y = at.y + box.height > window.innerHeight - 8 && at.flipY !== undefined ? at.flipY - box.height : at.y;
    menu.style.left = `${Math.max(8, Math.min(x, window.innerWidth - box.width - 8))}px`;
    menu.style.top = `${Math.max(8, Math.min(y, window.innerHeight - box.height - 8))}px`;
    menu.style.visibility = 'visible';
    menu.querySelector<HTMLElement>('[role^="menuitem"]:not([aria-disabled])')?.focus();
  }, [at]);
  const move = (step: number, from?: number) => {
    const items = [...(ref.current?.querySelectorAll<HTMLElement>('[role^="menuitem"]:not([aria-disabled])') ?? [])];
    const current = from ?? items.indexOf(document.activeElement as HTMLElement);
    items[(current + step + items.length) % items.length]?.focus();
  };
  return createPortal(
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the rest of the window, there to be clicked away */}
      <div
        className="menu-scrim"
        onPointerDown={onClose}
        onContextMenu={(event) => {
          event.preventDefault();
          onClose();
        }}
      />
      <div
        ref={ref}
        className="menu"
        role="menu"
        aria-label={label}
        style={{ visibility: 'hidden' }}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === 'Escape' || event.key === 'Tab') {
            event.preventDefault();
            onClose();
          } else if (event.key === 'ArrowDown') move(1);
          else if (event.key === 'ArrowUp') move(-1);
          else if (event.key === 'Home') move(1, -1);
          else if (event.key === 'End') move(-1, 0);
          else return;
          event.preventDefault();
        }}
      >
        {entries.map((entry, index) =>
          entry === 'separator' ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: separators have no identity of their own
            <hr key={`separator-${index}`} className="menu-separator" />
          ) : isItem(entry) ? (
            <button
              key={entry.id}
              type="button"
              role={entry.checked === undefined ? 'menuitem' : 'menuitemcheckbox'}
              {...(entry.checked === undefined ? {} : { 'aria-checked': entry.checked })}
              aria-disabled={entry.disabled || undefined}
              className={`menu-item ${entry.danger ? 'menu-danger' : ''}`}
              data-testid={`menu-${entry.id}`}
              onPointerEnter={(event) => !entry.disabled && event.currentTarget.focus()}
              onClick={() => {
                if (entry.disabled) return;
                onClose();
                entry.run();
              }}
            >
              <span className="menu-icon">
                {entry.checked ? <Icon name="check" size={14} /> : entry.icon && <Icon name={entry.icon} size={15} />}
              </span>
              <span className="grow truncate">{entry.label}</span>
              {entry.detail && <span className="menu-detail">{entry.detail}</span>}
            </button>
          ) : (
            <div key={entry.heading} className="menu-heading">
              {entry.heading}
            </div>
          ),
        )}
      </div>
    </>,
    host,
  );
}

/** A button that opens a menu below itself. */
export function MenuButton({
  entries,
  label,
  children,
  className,
  disabled,
  testId,
  title,
}: {
  entries: () => readonly MenuEntry[];
  label: string;
  children: ReactNode;
  className?: string;
  disabled?: boolean;
  testId?: string;
  title?: string;
}): ReactElement {
  const [at, setAt] = useState<{ x: number; y: number; flipY: number }>();
  return (
    <>
      <button
        type="button"
        className={className ?? 'btn btn-default btn-md'}
        aria-haspopup="menu"
        aria-expanded={at !== undefined}
        aria-label={label}
        title={title ?? label}
        disabled={disabled}
        data-testid={testId}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          setAt({ x: box.left, y: box.bottom + 4, flipY: box.top - 4 });
        }}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown') return;
          event.preventDefault();
          event.currentTarget.click();
        }}
      >
        {children}
      </button>
      {at && <Menu at={at} entries={entries()} label={label} onClose={() => setAt(undefined)} />}
    </>
  );
}
