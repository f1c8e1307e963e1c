/** Files on the machine where Terrarium runs: the way to an ISO where no native dialog can be had. */
import { type KeyboardEvent, type ReactElement, useCallback, useEffect, useRef, useState } from 'react';
import type { DirectoryListing } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { describeError } from '../../app/orders.ts';
import { updateSettings, useSession } from '../../app/session.ts';
import { formatBytes, formatDateTime } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Banner, Button, EmptyState, IconButton, Select, TextInput } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon, type IconName } from '../../ui/icons.tsx';
import { pathProblem } from '../wizard/problems.ts';
import { fileName, folderOf } from './slots.ts';

export type FileFilter = 'iso' | 'disk';

type Place = DirectoryListing['places'][number];
const PLACE_ICONS: Record<Place['label'], IconName> = {
  home: 'home',
  media: 'disc',
  machines: 'disk',
  downloads: 'download',
  root: 'folder',
  mounted: 'folder',
};

export function FileDialog({
  title,
  filter,
  startAt,
  onChoose,
  onClose,
}: {
  title: string;
  filter: FileFilter;
  startAt?: string | null;
  onChoose: (path: string) => void;
  onClose: () => void;
}): ReactElement {
  const { settings } = useSession();
  const [listing, setListing] = useState<DirectoryListing>();
  const [problem, setProblem] = useState<string>();
  const [chosen, setChosen] = useState('');
  const [shownFilter, setShownFilter] = useState<FileFilter | 'all'>(filter);
  const list = useRef<HTMLDivElement>(null);
  const started = useRef(false);

  const browse = useCallback(
    async (path: string | undefined, kind: FileFilter | 'all') => {
      try {
        const next = await api().call('files.browse', { filter: kind, ...(path ? { path } : {}) });
        setListing(next);
        setProblem(undefined);
        list.current?.scrollTo(0, 0);
        return true;
      } catch (error) {
        setProblem(describeError(error, title).body);
        return false;
      }
    },
    [title],
  );
  useEffect(() => {
    if (started.current) return;
    started.current = true;
    const first = (startAt && folderOf(startAt)) ?? settings.lastFolder ?? undefined;
    // The folder of last time may be gone: then the manager's own idea of a start.
    void browse(first, filter).then((done) => (done || !first ? undefined : browse(undefined, filter)));
  }, [browse, filter, settings.lastFolder, startAt]);

  const open = (path: string) => {
    setChosen('');
    void browse(path, shownFilter);
  };
  const accept = (path: string) => {
    const refused = pathProblem(path);
    if (refused) {
      setProblem(refused);
      return;
    }
    const folder = folderOf(path);
    if (folder && folder !== settings.lastFolder) void updateSettings({ lastFolder: folder }).catch(() => undefined);
    onChoose(path);
  };
  const onListKey = (event: KeyboardEvent) => {
    const rows = [...(list.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
    const index = rows.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'ArrowDown') rows[Math.min(index + 1, rows.length - 1)]?.focus();
    else if (event.key === 'ArrowUp') rows[Math.max(index - 1, 0)]?.focus();
    else if (event.key === 'Home') rows[0]?.focus();
    else if (event.key === 'End') rows[rows.length - 1]?.focus();
    else if (event.key === 'Backspace' && listing?.parent) open(listing.parent);
    else return;
    event.preventDefault();
  };

  return (
    <Dialog
      title={title}
      width={780}
      height="min(580px, calc(100vh - 40px))"
      onClose={onClose}
      flush
      testId="file-dialog"
      footer={
        <>
          <span className="file-path">
            <TextInput
              value={chosen}
              onValue={setChosen}
              mono
              placeholder={t('files.pathPlaceholder')}
              aria-label={t('files.path')}
              data-testid="file-path"
              onKeyDown={(event) => {
                if (event.key === 'Enter' && chosen) accept(chosen);
              }}
            />
          </span>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button variant="primary" disabled={!chosen} onClick={() => accept(chosen)} data-testid="file-choose">
            {t('files.choose')}
          </Button>
        </>
      }
    >
      <div className="files">
        <nav className="files-places" aria-label={t('files.places')}>
          {listing?.places.map((place) => (
            <button
              key={place.path}
              type="button"
              className="nav-item"
              aria-current={place.path === listing.path || undefined}
              onClick={() => open(place.path)}
            >
              <Icon name={PLACE_ICONS[place.label]} size={15} />
              <span className="truncate">
                {place.label === 'mounted' ? fileName(place.path) : t(`place.${place.label}`)}
              </span>
            </button>
          ))}
        </nav>
        <div className="files-main">
          <div className="files-bar">
            <IconButton
              icon="folderUp"
              label={t('files.up')}
              disabled={!listing?.parent}
              onClick={() => listing?.parent && open(listing.parent)}
            />
            <span className="files-where mono truncate" title={listing?.path} data-testid="file-folder">
              {listing?.path ?? ''}
            </span>
            <Select
              value={shownFilter}
              aria-label={t('files.filter')}
              options={[
                { value: filter, label: filter === 'iso' ? t('files.isoOnly') : t('files.diskOnly') },
                { value: 'all', label: t('files.all') },
              ]}
              onValue={(value) => {
                setShownFilter(value);
                void browse(listing?.path, value);
              }}
            />
          </div>
          {problem && (
            <div className="files-problem">
              <Banner tone="danger" testId="file-problem">
                {problem}
              </Banner>
            </div>
          )}
          <div className="files-list" role="listbox" aria-label={t('files.list')} ref={list} onKeyDown={onListKey}>
            {listing?.entries.map((entry) => (
              <button
                key={entry.path}
                type="button"
                role="option"
                data-row=""
                data-testid={`file-${entry.name}`}
                aria-selected={entry.path === chosen}
                className="file-row"
                onFocus={() => entry.kind === 'file' && setChosen(entry.path)}
                onClick={() => (entry.kind === 'folder' ? open(entry.path) : setChosen(entry.path))}
                onDoubleClick={() => entry.kind === 'file' && accept(entry.path)}
                onKeyDown={(event) => {
                  if (event.key !== 'Enter' || entry.kind !== 'file') return;
                  event.preventDefault();
                  accept(entry.path);
                }}
              >
                <Icon name={entry.kind === 'folder' ? 'folder' : /\.iso$/i.test(entry.name) ? 'disc' : 'file'} />
                <span className="truncate grow">{entry.name}</span>
                <span className="file-size num">{entry.kind === 'file' ? formatBytes(entry.sizeBytes) : ''}</span>
                <span className="file-date num">{formatDateTime(entry.modifiedAt)}</span>
              </button>
            ))}
            {listing && listing.entries.length === 0 && (
              <EmptyState icon="folder" title={shownFilter === 'all' ? t('files.empty') : t('files.nothingFits')} />
            )}
            {listing?.truncated && <p className="muted small files-more">{t('files.truncated')}</p>}
          </div>
        </div>
      </div>
    </Dialog>
  );
}

/** Asks for a file: the host's own dialog in the desktop shell, ours otherwise. */
export function useFileChooser(): {
  choose: (request: {
    title: string;
    filter: FileFilter;
    startAt?: string | null;
    onChoose: (path: string) => void;
  }) => void;
  dialog: ReactElement | null;
} {
  const { info } = useSession();
  const [request, setRequest] = useState<{
    title: string;
    filter: FileFilter;
    startAt?: string | null;
    onChoose: (path: string) => void;
  }>();
  const choose = async (next: {
    title: string;
    filter: FileFilter;
    startAt?: string | null;
    onChoose: (path: string) => void;
  }) => {
    if (!info.capabilities.nativeFileDialog) {
      setRequest(next);
      return;
    }
    const { path } = await api().call('files.pick', { filter: next.filter, title: next.title });
    if (path) next.onChoose(path);
  };
  const dialog = request ? (
    <FileDialog
      {...request}
      onClose={() => setRequest(undefined)}
      onChoose={(path) => {
        setRequest(undefined);
        request.onChoose(path);
      }}
    />
  ) : null;
  return { choose, dialog };
}
