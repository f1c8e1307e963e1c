/** The list of machines: search, arrow keys, context menu, live pictures. One tab stop. */
import { type KeyboardEvent, type ReactElement, useMemo, useRef, useState } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { order } from '../../app/actions.ts';
import { isAlive } from '../../app/orders.ts';
import { thumbnails, useSession, useStore } from '../../app/session.ts';
import { open, select, showTab } from '../../app/view.ts';
import { formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Button, IconButton } from '../../ui/controls.tsx';
import { Icon, Mark } from '../../ui/icons.tsx';
import { Menu } from '../../ui/menu.tsx';
import { OsIcon } from '../../ui/os-icon.tsx';
import { machineMenu } from './machine-menu.ts';
import { matches } from './search.ts';
import { StateDot, stateText } from './state.tsx';

export function Library({
  machines,
  chosen,
}: {
  machines: readonly MachineSummary[];
  chosen: string | undefined;
}): ReactElement {
  const { info } = useSession();
  const [query, setQuery] = useState('');
  const [menu, setMenu] = useState<{ machine: MachineSummary; x: number; y: number }>();
  const list = useRef<HTMLDivElement>(null);
  const labels = useMemo(() => new Map(info.guestFamilies.map((family) => [family.id, family.label])), [info]);
  const shown = machines.filter((machine) =>
    matches(query, [machine.name, labels.get(machine.guest) ?? '', stateText(machine)]),
  );
  const tabStop = shown.some((machine) => machine.id === chosen) ? chosen : shown[0]?.id;

  const choose = (index: number) => {
    const next = shown[Math.min(Math.max(index, 0), shown.length - 1)];
    if (!next) return;
    select(next.id);
    list.current?.querySelector<HTMLElement>(`[data-machine="${next.id}"]`)?.focus();
  };
  const onRowKey = (event: KeyboardEvent, machine: MachineSummary, index: number) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'ArrowDown') choose(index + 1);
    else if (event.key === 'ArrowUp') choose(index - 1);
    else if (event.key === 'Home') choose(0);
    else if (event.key === 'End') choose(shown.length - 1);
    else if (event.key === 'Enter') activate(machine);
    else if (event.key === 'F2') open({ kind: 'rename', machine });
    else if (event.key === 'Delete' && !isAlive(machine.state)) open({ kind: 'delete', machine });
    else return;
    event.preventDefault();
  };

  return (
    <nav className="library" aria-label={t('library.title')}>
      <header className="library-head">
        <Mark size={26} />
        <strong className="brand">Terrarium</strong>
        <span className="grow" />
        <IconButton
          icon="preferences"
          label={t('preferences.title')}
          shortcut="Ctrl+,"
          onClick={() => open({ kind: 'preferences' })}
          data-testid="open-preferences"
        />
        <Button
          variant="primary"
          size="sm"
          icon="plus"
          onClick={() => open({ kind: 'wizard' })}
          data-testid="new-machine"
          title="Ctrl+N"
        >
          {t('library.new')}
        </Button>
      </header>
      <div className="library-search">
        <Icon name="search" size={14} />
        <input
          className="input"
          type="search"
          placeholder={t('library.search')}
          aria-label={t('library.search')}
          value={query}
          data-testid="library-search"
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') setQuery('');
            else if (event.key === 'ArrowDown') choose(0);
          }}
        />
      </div>
      <div
        className="library-list"
        role="listbox"
        aria-label={t('library.title')}
        ref={list}
        data-testid="library-list"
      >
        {shown.map((machine, index) => (
          <Row
            key={machine.id}
            machine={machine}
            isChosen={machine.id === chosen}
            isTabStop={machine.id === tabStop}
            onChoose={() => select(machine.id)}
            onActivate={() => activate(machine)}
            onKey={(event) => onRowKey(event, machine, index)}
            onMenu={(x, y) => {
              select(machine.id);
              setMenu({ machine, x, y });
            }}
          />
        ))}
        {machines.length > 0 && shown.length === 0 && (
          <p className="library-none muted">{t('library.nothingFound', { query })}</p>
        )}
        {machines.length === 0 && <p className="library-none muted">{t('library.empty')}</p>}
      </div>
      {menu && (
        <Menu
          at={menu}
          label={menu.machine.name}
          entries={machineMenu(menu.machine)}
          onClose={() => setMenu(undefined)}
        />
      )}
    </nav>
  );
}

/** Double click and Enter: start what is off, show what runs. */
function activate(machine: MachineSummary): void {
  select(machine.id);
  if (isAlive(machine.state)) showTab(machine.id, 'screen');
  else void order('start', machine);
}

function Row({
  machine,
  isChosen,
  isTabStop,
  onChoose,
  onActivate,
  onKey,
  onMenu,
}: {
  machine: MachineSummary;
  isChosen: boolean;
  isTabStop: boolean;
  onChoose: () => void;
  onActivate: () => void;
  onKey: (event: KeyboardEvent) => void;
  onMenu: (x: number, y: number) => void;
}): ReactElement {
  const picture = useStore(thumbnails).get(machine.id);
  const alive = isAlive(machine.state);
  return (
    <div
      role="option"
      aria-selected={isChosen}
      aria-label={`${machine.name}, ${stateText(machine)}`}
      tabIndex={isTabStop ? 0 : -1}
      className="machine-row"
      data-machine={machine.id}
      data-state={machine.state}
      data-testid="machine-row"
      onClick={onChoose}
      onDoubleClick={onActivate}
      onKeyDown={onKey}
      onContextMenu={(event) => {
        event.preventDefault();
        const box = event.currentTarget.getBoundingClientRect();
        const byKeyboard = event.clientX === 0 && event.clientY === 0;
        onMenu(byKeyboard ? box.left + 60 : event.clientX, byKeyboard ? box.bottom : event.clientY);
      }}
    >
      <span className="machine-picture" data-live={alive && picture ? '' : undefined}>
        {alive && picture ? (
          <img src={picture.url} alt="" draggable={false} />
        ) : (
          <OsIcon os={machine.guest} size={34} />
        )}
      </span>
      <span className="col grow" style={{ gap: 1 }}>
        <span className="machine-name truncate">{machine.name}</span>
        <span className="machine-state truncate">
          <StateDot machine={machine} />
          <span className="truncate">{stateText(machine)}</span>
          <span className="machine-memory num">{formatMiB(machine.memoryMiB)}</span>
        </span>
      </span>
    </div>
  );
}
