/** A machine's settings: pages on the left, at the bottom the command line with what the edits change in it. */
import { type ReactElement, useEffect, useState } from 'react';
import type { Issue, MachineDefinition, MachineDetails } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt, changeMedium } from '../../app/actions.ts';
import { isAlive } from '../../app/orders.ts';
import { machines, putDetails, useDetails, useSession, useStore } from '../../app/session.ts';
import type { SettingsPage } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import { Banner, Button, Spinner } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon, type IconName } from '../../ui/icons.tsx';
import { OsIcon } from '../../ui/os-icon.tsx';
import { CommandLineView } from '../command-line/command-line-view.tsx';
import { usePreview } from '../command-line/use-preview.ts';
import { cpuProblem, memoryProblem, nameProblem, pathProblem } from '../wizard/problems.ts';
import { AdvancedPage, DisplayPage, GeneralPage, SerialPage, SystemPage } from './pages.tsx';
import { StoragePage } from './storage-page.tsx';

export interface PageProps {
  definition: MachineDefinition;
  change: (part: Partial<MachineDefinition>) => void;
}

const PAGES: readonly { id: SettingsPage; icon: IconName; fields: readonly (keyof MachineDefinition)[] }[] = [
  { id: 'general', icon: 'general', fields: ['name', 'notes', 'guest', 'power'] },
  { id: 'system', icon: 'cpu', fields: ['memoryMiB', 'cpu', 'boot', 'clock', 'machineType', 'accelerator'] },
  { id: 'display', icon: 'display', fields: ['display'] },
  { id: 'storage', icon: 'disk', fields: ['storage'] },
  { id: 'serial', icon: 'serial', fields: ['serialPorts'] },
  { id: 'advanced', icon: 'advanced', fields: ['extraArguments'] },
];

export function SettingsDialog({
  id,
  page,
  onClose,
}: {
  id: string;
  page: SettingsPage;
  onClose: () => void;
}): ReactElement {
  const machine = useDetails(id);
  if (!machine) {
    return (
      <Dialog title={t('verb.settings')} width={900} height={660} onClose={onClose}>
        <Spinner />
      </Dialog>
    );
  }
  return <Editor machine={machine} first={page} onClose={onClose} />;
}

function Editor({
  machine,
  first,
  onClose,
}: {
  machine: MachineDetails;
  first: SettingsPage;
  onClose: () => void;
}): ReactElement {
  const { info } = useSession();
  const others = useStore(machines)
    .filter((other) => other.id !== machine.summary.id)
    .map((other) => other.name);
  const [original, setOriginal] = useState(machine.definition);
  const [definition, setDefinition] = useState(machine.definition);
  const [page, setPage] = useState(first);
  const [busy, setBusy] = useState(false);
  const [formProblem, setFormProblem] = useState<string>();
  const preview = usePreview(definition);
  const alive = isAlive(machine.summary.state);
  const changed = JSON.stringify(definition) !== JSON.stringify(original);
  const movedUnderneath = JSON.stringify(machine.definition) !== JSON.stringify(original);

  useEffect(() => {
    // Changed elsewhere (a disc by the guest's user, another window): without edits of our own, just follow.
    if (movedUnderneath && !changed) {
      setOriginal(machine.definition);
      setDefinition(machine.definition);
    }
  }, [movedUnderneath, changed, machine.definition]);

  const own: Issue[] = [
    ['name', nameProblem(definition.name, others)] as const,
    ['memoryMiB', memoryProblem(definition.memoryMiB, info.limits)] as const,
    ['cpu.count', cpuProblem(definition.cpu.count, info.limits)] as const,
    ['extraArguments', formProblem] as const,
    ...definition.storage.map(
      (device, index) =>
        [`storage.${index}.path`, device.path === null ? undefined : pathProblem(device.path)] as const,
    ),
  ].flatMap(([path, message]) => (message ? [{ path, message, severity: 'error' as const }] : []));
  const issues = [...own, ...preview.issues.filter((issue) => !own.some((known) => known.path === issue.path))];
  const pageOf = (issue: Issue) =>
    PAGES.find(({ fields }) => fields.some((field) => issue.path === field || issue.path.startsWith(`${field}.`)))
      ?.id ?? 'general';
  const refused = issues.some((issue) => issue.severity === 'error');
  const here = issues.filter((issue) => pageOf(issue) === page && !own.includes(issue));

  const change = (part: Partial<MachineDefinition>) => setDefinition((now) => ({ ...now, ...part }));
  const save = async () => {
    setBusy(true);
    const done = await attempt(t('failed.save', { name: original.name }), async () =>
      putDetails(await api().call('machines.update', { definition: { ...definition, name: definition.name.trim() } })),
    );
    setBusy(false);
    if (!done) return;
    onClose();
    if (!alive) return;
    for (const device of definition.storage) {
      const live = machine.runtime?.drives.find((drive) => drive.deviceId === device.id);
      if (device.kind === 'cdrom' && live && live.path !== device.path)
        await changeMedium(machine.summary, device.id, device.path);
    }
  };

  const props: PageProps = { definition, change };
  return (
    <Dialog
      title={machine.summary.name}
      subtitle={t('verb.settings')}
      icon={<OsIcon os={definition.guest} size={32} />}
      width={920}
      height="min(680px, calc(100vh - 32px))"
      onClose={onClose}
      flush
      testId="settings"
      footer={
        <>
          <span className="grow small muted truncate">
            {changed ? (alive ? t('settings.waitsForStart') : '') : t('settings.unchanged')}
          </span>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button
            variant="primary"
            busy={busy}
            disabled={!changed || refused}
            onClick={save}
            data-testid="settings-save"
          >
            {t('common.save')}
          </Button>
        </>
      }
    >
      <div className="settings">
        <nav className="settings-nav" aria-label={t('settings.pages')}>
          {PAGES.map(({ id, icon }) => (
            <button
              key={id}
              type="button"
              className="nav-item"
              aria-current={id === page ? 'page' : undefined}
              onClick={() => setPage(id)}
              data-testid={`settings-${id}`}
            >
              <Icon name={icon} size={16} />
              <span className="grow">{t(`settings.${id}`)}</span>
              {issues.some((issue) => pageOf(issue) === id) && (
                <span className="nav-alert" role="img" aria-label={t('settings.hasProblems')} />
              )}
            </button>
          ))}
        </nav>
        <div className="settings-main">
          <div className="settings-page" key={page} data-testid={`page-${page}`}>
            {alive && (
              <Banner tone="info" testId="running-note">
                {page === 'storage' ? t('settings.runningStorage') : t('settings.running')}
              </Banner>
            )}
            {movedUnderneath && changed && (
              <Banner
                tone="warn"
                actions={
                  <Button
                    size="sm"
                    onClick={() => {
                      setOriginal(machine.definition);
                      setDefinition(machine.definition);
                    }}
                  >
                    {t('settings.reload')}
                  </Button>
                }
              >
                {t('settings.changedUnderneath')}
              </Banner>
            )}
            {page === 'general' && (
              <GeneralPage {...props} problem={own.find((issue) => issue.path === 'name')?.message} />
            )}
            {page === 'system' && <SystemPage {...props} />}
            {page === 'display' && <DisplayPage {...props} />}
            {page === 'storage' && (
              <StoragePage {...props} issues={issues} commandLine={preview.commandLine} machine={machine} />
            )}
            {page === 'serial' && <SerialPage {...props} />}
            {page === 'advanced' && <AdvancedPage {...props} problem={formProblem} onProblem={setFormProblem} />}
            {page !== 'storage' &&
              here.map((issue) => (
                <Banner key={`${issue.path}${issue.message}`} tone={issue.severity === 'error' ? 'danger' : 'warn'}>
                  {issue.message}
                </Banner>
              ))}
          </div>
          <div className="settings-command" data-stale={!preview.current || undefined}>
            <div className="settings-command-title">{t('settings.commandLine')}</div>
            {preview.commandLine ? (
              <CommandLineView commandLine={preview.commandLine} before={machine.commandLine} compact />
            ) : (
              <div className="command-line command-line-compact" />
            )}
          </div>
        </div>
      </div>
    </Dialog>
  );
}
