/** A tree as WAI-ARIA describes it: one tab stop, arrows move, left and right fold. Always open here: trees are small. */
import type { ReactElement, ReactNode } from 'react';

export interface TreeRow {
  id: string;
  level: number;
  content: ReactNode;
  label: string;
  hasChildren?: boolean;
  className?: string;
  testId?: string;
}

export function Tree({
  label,
  rows,
  selected,
  onSelect,
}: {
  label: string;
  rows: readonly TreeRow[];
  selected: string | undefined;
  onSelect: (id: string) => void;
}): ReactElement {
  const stop = rows.some((row) => row.id === selected) ? selected : rows[0]?.id;
  return (
    <div
      className="tree"
      role="tree"
      aria-label={label}
      onKeyDown={(event) => {
        if ((event.target as HTMLElement).getAttribute('role') !== 'treeitem') return;
        const index = rows.findIndex((row) => row.id === stop);
        const level = rows[index]?.level ?? 0;
        let next = -1;
        if (event.key === 'ArrowDown') next = index + 1;
        else if (event.key === 'ArrowUp') next = index - 1;
        else if (event.key === 'Home') next = 0;
        else if (event.key === 'End') next = rows.length - 1;
        else if (event.key === 'ArrowLeft') next = rows.findLastIndex((row, at) => at < index && row.level < level);
        else if (event.key === 'ArrowRight' && rows[index]?.hasChildren) next = index + 1;
        else return;
        event.preventDefault();
        const row = rows[next];
        if (!row) return;
        onSelect(row.id);
        event.currentTarget.querySelector<HTMLElement>(`[data-row="${CSS.escape(row.id)}"]`)?.focus();
      }}
    >
      {rows.map((row) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the tree handles the keys of all rows
        <div
          key={row.id}
          role="treeitem"
          aria-level={row.level + 1}
          aria-selected={row.id === selected}
          aria-expanded={row.hasChildren || undefined}
          aria-label={row.label}
          tabIndex={row.id === stop ? 0 : -1}
          data-row={row.id}
          data-testid={row.testId}
          className={`tree-row ${row.className ?? ''}`}
          style={{ paddingLeft: 10 + row.level * 22 }}
          onClick={() => onSelect(row.id)}
        >
          {row.content}
        </div>
      ))}
    </div>
  );
}
