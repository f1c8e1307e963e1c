/** The storage tree: the IDE controller with its four places, each drive with the options that make it. */
import { type ReactElement, useState } from 'react';
import type { CommandLine, Issue, MachineDetails, StorageDevice } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';
import { Banner, Button, Field, IconButton, Select, TextInput } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';
import { MenuButton } from '../../ui/menu.tsx';
import { Tree, type TreeRow } from '../../ui/tree.tsx';
import { optionLines } from '../command-line/command-line-view.tsx';
import { CreateDiskDialog } from '../storage/create-disk-dialog.tsx';
import { useKnownDiscs } from '../storage/disc-menu.tsx';
import { useFileChooser } from '../storage/file-dialog.tsx';
import { bestSlot, fileName, freeId, freeSlots, inSlotOrder, SLOTS, slotKey, slotName } from '../storage/slots.ts';
import type { PageProps } from './settings-dialog.tsx';

const CONTROLLER = 'controller';

export function StoragePage({
  definition,
  change,
  issues,
  commandLine,
  machine,
}: PageProps & {
  issues: readonly Issue[];
  commandLine: CommandLine | undefined;
  machine: MachineDetails;
}): ReactElement {
  const { storage } = definition;
  const [chosen, setChosen] = useState<string>(storage[0]?.id ?? CONTROLLER);
  const [creating, setCreating] = useState<{ replace: string | undefined }>();
  const { choose, dialog } = useFileChooser();
  const known = useKnownDiscs();
  const index = storage.findIndex((device) => device.id === chosen);
  const device = storage[index];
  const full = freeSlots(storage).length === 0;

  const put = (id: string, next: StorageDevice) =>
    change({ storage: inSlotOrder(storage.map((old) => (old.id === id ? next : old))) });
  const add = (make: (place: { id: string; bus: 0 | 1; unit: 0 | 1 }) => StorageDevice) => {
    const kind = make({ id: '', bus: 0, unit: 0 }).kind;
    const slot = bestSlot(storage, kind);
    if (!slot) return;
    const next = make({ id: freeId(storage, slot), ...slot });
    change({ storage: inSlotOrder([...storage, next]) });
    setChosen(next.id);
  };
  const addDisk = (path: string) => add((place) => ({ ...place, kind: 'disk', path, format: 'raw' }));
  const remove = (id: string) => {
    const rest = storage.filter((old) => old.id !== id);
    change({ storage: rest });
    setChosen(rest[0]?.id ?? CONTROLLER);
  };
  const optionsOf = (at: number) =>
    commandLine?.parts
      .filter((part) => part.origin === `storage.${at}` || part.origin.startsWith(`storage.${at}.`))
      .flatMap(optionLines) ?? [];

  const rows: TreeRow[] = [
    {
      id: CONTROLLER,
      level: 0,
      label: t('storage.controllerName'),
      hasChildren: storage.length > 0,
      content: (
        <>
          <Icon name="controller" />
          <span className="grow">
            <strong className="tree-title">{t('storage.controller')}</strong>
            <span className="muted small"> {t('storage.controllerName')}</span>
          </span>
        </>
      ),
    },
    ...storage.map((drive, at): TreeRow => {
      const problem = issues.find((issue) => issue.path === `storage.${at}` || issue.path.startsWith(`storage.${at}.`));
      const name = drive.path ? fileName(drive.path) : t('storage.empty');
      return {
        id: drive.id,
        level: 1,
        label: `${slotName(drive)}, ${name}`,
        testId: `drive-${drive.id}`,
        className: 'tree-row-tall',
        content: (
          <>
            <Icon name={drive.kind === 'disk' ? 'disk' : 'disc'} />
            <span className="grow col" style={{ gap: 1 }}>
              <span className="row">
                <span className={`truncate ${drive.path ? 'tree-title' : 'muted'}`}>{name}</span>
                {problem && (
                  <Icon name={problem.severity === 'error' ? 'error' : 'warning'} size={13} label={problem.message} />
                )}
              </span>
              <span className="muted small truncate">{slotName(drive)}</span>
            </span>
          </>
        ),
      };
    }),
  ];

  return (
    <div className="storage">
      <div className="storage-tree">
        <Tree label={t('settings.storage')} rows={rows} selected={chosen} onSelect={setChosen} />
        <div className="storage-actions">
          <MenuButton
            label={t('storage.addDisk')}
            className="btn btn-default btn-sm"
            disabled={full}
            testId="add-disk"
            title={full ? t('storage.full') : t('storage.addDisk')}
            entries={() => [
              {
                id: 'create-disk',
                label: t('storage.createDisk'),
                icon: 'plus',
                run: () => setCreating({ replace: undefined }),
              },
              {
                id: 'existing-disk',
                label: t('storage.existingDisk'),
                icon: 'folder',
                run: () => choose({ title: t('files.chooseDisk'), filter: 'disk', onChoose: addDisk }),
              },
            ]}
          >
            <Icon name="disk" />
            <span>{t('storage.addDisk')}</span>
            <Icon name="chevronDown" size={12} />
          </MenuButton>
          <Button
            size="sm"
            icon="disc"
            disabled={full}
            title={full ? t('storage.full') : undefined}
            onClick={() => add((place) => ({ ...place, kind: 'cdrom', path: null }))}
            data-testid="add-cdrom"
          >
            {t('storage.addOptical')}
          </Button>
          <span className="grow" />
          <IconButton
            icon="trash"
            danger
            label={t('storage.removeDrive')}
            disabled={!device}
            onClick={() => device && remove(device.id)}
            data-testid="remove-drive"
          />
        </div>
      </div>
      <div className="storage-attributes" data-testid="storage-attributes">
        {device ? (
          <>
            <div className="row">
              <Icon name={device.kind === 'disk' ? 'disk' : 'disc'} size={18} />
              <h3 className="grow">{device.kind === 'disk' ? t('storage.diskTitle') : t('storage.opticalTitle')}</h3>
            </div>
            <Field label={t('storage.place')}>
              <Select
                value={slotKey(device)}
                options={SLOTS.map((slot) => {
                  const other = storage.find((drive) => drive.id !== device.id && slotKey(drive) === slotKey(slot));
                  return {
                    value: slotKey(slot),
                    label: other
                      ? `${slotName(slot)} (${t('storage.swap', { name: other.path ? fileName(other.path) : t('storage.empty') })})`
                      : slotName(slot),
                  };
                })}
                onValue={(key) => {
                  const slot = SLOTS.find((candidate) => slotKey(candidate) === key)!;
                  change({
                    storage: inSlotOrder(
                      storage.map((drive) =>
                        drive.id === device.id
                          ? { ...drive, ...slot }
                          : slotKey(drive) === key
                            ? { ...drive, bus: device.bus, unit: device.unit }
                            : drive,
                      ),
                    ),
                  });
                }}
                data-testid="drive-place"
              />
            </Field>
            <Field
              label={device.kind === 'disk' ? t('field.diskFile') : t('wizard.disc')}
              error={issues.find((issue) => issue.path.startsWith(`storage.${index}`))?.message}
              hint={device.kind === 'cdrom' && device.path === null ? t('storage.emptyHint') : undefined}
            >
              <TextInput
                value={device.path ?? ''}
                mono
                onValue={(path) =>
                  put(device.id, device.kind === 'cdrom' ? { ...device, path: path || null } : { ...device, path })
                }
                data-testid="drive-path"
              />
            </Field>
            <div className="row storage-buttons">
              <Button
                size="sm"
                icon="folder"
                onClick={() =>
                  choose({
                    title: device.kind === 'disk' ? t('files.chooseDisk') : t('files.chooseIso'),
                    filter: device.kind === 'disk' ? 'disk' : 'iso',
                    startAt: device.path,
                    onChoose: (path) => put(device.id, { ...device, path }),
                  })
                }
                data-testid="drive-browse"
              >
                {t('common.browse')}
              </Button>
              {device.kind === 'disk' ? (
                <Button size="sm" icon="plus" onClick={() => setCreating({ replace: device.id })}>
                  {t('storage.createDisk')}
                </Button>
              ) : (
                <>
                  {known.length > 0 && (
                    <MenuButton
                      label={t('storage.recent')}
                      className="btn btn-default btn-sm"
                      entries={() =>
                        known.slice(0, 10).map((medium) => ({
                          id: medium.path,
                          label: medium.fileName,
                          icon: 'disc' as const,
                          checked: medium.path === device.path,
                          run: () => put(device.id, { ...device, path: medium.path }),
                        }))
                      }
                    >
                      <span>{t('storage.recent')}</span>
                      <Icon name="chevronDown" size={12} />
                    </MenuButton>
                  )}
                  <Button
                    size="sm"
                    icon="eject"
                    disabled={device.path === null}
                    onClick={() => put(device.id, { ...device, path: null })}
                    data-testid="drive-eject"
                  >
                    {t('storage.eject')}
                  </Button>
                </>
              )}
            </div>
            <div className="col storage-options">
              <div className="muted small">{t('storage.options')}</div>
              <pre className="selectable" data-testid="drive-options">
                {optionsOf(index).join('\n')}
              </pre>
            </div>
          </>
        ) : (
          <>
            <div className="row">
              <Icon name="controller" size={18} />
              <h3>{t('storage.controllerName')}</h3>
            </div>
            <p className="muted">{t('storage.controllerText')}</p>
            {storage.length === 0 && <Banner tone="info">{t('details.noDrives')}</Banner>}
          </>
        )}
      </div>
      {creating && (
        <CreateDiskDialog
          machineName={machine.summary.name}
          onClose={() => setCreating(undefined)}
          onCreated={(path) => {
            const target = creating.replace ? storage.find((drive) => drive.id === creating.replace) : undefined;
            setCreating(undefined);
            if (target) put(target.id, { ...target, path });
            else addDisk(path);
          }}
        />
      )}
      {dialog}
    </div>
  );
}
