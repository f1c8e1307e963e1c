/** What the machine is made of, section by section; each opens the page that changes it. */
import type { ReactElement, ReactNode } from 'react';
import type { MachineDetails, StorageDevice } from '../../../electron/api/contract.ts';
import { order } from '../../app/actions.ts';
import { isAlive } from '../../app/orders.ts';
import { thumbnails, useSession, useStore } from '../../app/session.ts';
import { open, type SettingsPage, showTab } from '../../app/view.ts';
import { formatDateTime, formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Banner, Button } from '../../ui/controls.tsx';
import { Icon, type IconName } from '../../ui/icons.tsx';
import { CommandLineView } from '../command-line/command-line-view.tsx';
import { DiscMenu } from '../storage/disc-menu.tsx';
import { fileName, slotName } from '../storage/slots.ts';

export function DetailsView({ machine }: { machine: MachineDetails }): ReactElement {
  const { summary, definition, runtime, issues, commandLine } = machine;
  const { info } = useSession();
  const family = info.guestFamilies.find((candidate) => candidate.id === definition.guest);
  const edit = (page: SettingsPage) => () => open({ kind: 'settings', id: summary.id, page });
  const order = definition.boot.order.map((device) => t(`boot.${device}`)).join(', ');
  const terminals = definition.serialPorts.flatMap((port, index) =>
    port.kind === 'terminal' ? [`COM${index + 1}`] : [],
  );
  return (
    <div className="details">
      {issues.length > 0 && (
        <Banner
          tone={issues.some((issue) => issue.severity === 'error') ? 'danger' : 'warn'}
          title={t('details.issues')}
          testId="issues"
          actions={
            <Button
              size="sm"
              onClick={edit(issues.some((issue) => issue.path.startsWith('storage')) ? 'storage' : 'general')}
            >
              {t('details.fix')}
            </Button>
          }
        >
          {issues.map((issue) => (
            <p key={`${issue.path}${issue.message}`}>{issue.message}</p>
          ))}
        </Banner>
      )}
      {runtime && runtime.pendingChanges.length > 0 && (
        <Banner tone="info" testId="pending-changes">
          {t('details.pending')}
        </Banner>
      )}
      <div className="details-columns">
        <div className="details-sections">
          <Section icon="general" title={t('settings.general')} onEdit={edit('general')} testId="section-general">
            <Entry name={t('field.name')}>{definition.name}</Entry>
            <Entry name={t('field.guest')}>{family && family.id !== 'other' ? family.label : t('guest.other')}</Entry>
            <Entry name={t('details.lastStarted')}>
              {summary.lastStartedAt ? formatDateTime(summary.lastStartedAt) : t('details.never')}
            </Entry>
            {definition.notes && (
              <Entry name={t('field.notes')}>
                <span className="details-notes selectable">{definition.notes}</span>
              </Entry>
            )}
          </Section>
          <Section icon="cpu" title={t('settings.system')} onEdit={edit('system')} testId="section-system">
            <Entry name={t('field.memory')}>{formatMiB(definition.memoryMiB)}</Entry>
            <Entry name={t('field.processors')}>
              {definition.cpu.count} × {definition.cpu.model}
            </Entry>
            <Entry name={t('field.machineType')}>{t(`machineType.${definition.machineType}`)}</Entry>
            <Entry name={t('field.bootOrder')}>{order || t('details.none')}</Entry>
          </Section>
          <Section icon="disk" title={t('settings.storage')} onEdit={edit('storage')} testId="section-storage">
            {definition.storage.length === 0 && <Entry name={t('storage.controller')}>{t('details.noDrives')}</Entry>}
            {definition.storage.map((device) => (
              <Entry key={device.id} name={slotName(device)}>
                <Drive device={device} machine={machine} />
              </Entry>
            ))}
          </Section>
        </div>
        <div className="details-sections">
          <Preview machine={machine} />
          <Section icon="display" title={t('settings.display')} onEdit={edit('display')} testId="section-display">
            <Entry name={t('field.vga')}>{t(`vga.${definition.display.vga}`)}</Entry>
          </Section>
          <Section icon="serial" title={t('settings.serial')} onEdit={edit('serial')} testId="section-serial">
            <Entry name={t('serial.ports')}>{terminals.join(', ') || t('details.none')}</Entry>
          </Section>
        </div>
      </div>
      <section className="card" data-testid="section-command-line">
        <header className="card-head">
          <Icon name="terminal" />
          <h3>{runtime ? t('details.commandLineRunning') : t('details.commandLine')}</h3>
        </header>
        <CommandLineView commandLine={runtime?.commandLine ?? commandLine} />
      </section>
    </div>
  );
}

function Section({
  icon,
  title,
  onEdit,
  children,
  testId,
}: {
  icon: IconName;
  title: string;
  onEdit: () => void;
  children: ReactNode;
  testId: string;
}): ReactElement {
  return (
    <section className="card">
      <button
        type="button"
        className="card-head card-head-button"
        onClick={onEdit}
        data-testid={testId}
        title={t('details.edit', { title })}
      >
        <Icon name={icon} />
        <h3>{title}</h3>
        <span className="card-edit">
          <Icon name="edit" size={14} />
        </span>
      </button>
      <dl className="entries">{children}</dl>
    </section>
  );
}

function Entry({ name, children }: { name: string; children: ReactNode }): ReactElement {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Drive({ device, machine }: { device: StorageDevice; machine: MachineDetails }): ReactElement {
  const live = machine.runtime?.drives.find((drive) => drive.deviceId === device.id);
  const path = live ? live.path : device.path;
  return (
    <span className="drive">
      <Icon name={device.kind === 'disk' ? 'disk' : 'disc'} size={14} />
      <span className={`truncate ${path ? '' : 'muted'}`} title={path ?? undefined}>
        {path ? fileName(path) : t('storage.empty')}
      </span>
      {device.kind === 'cdrom' && <DiscMenu machine={machine.summary} deviceId={device.id} path={path} />}
    </span>
  );
}

/** The screen as it is, or was never; it is the way to the console, or the start. */
function Preview({ machine: { summary } }: { machine: MachineDetails }): ReactElement {
  const picture = useStore(thumbnails).get(summary.id);
  const alive = isAlive(summary.state);
  return (
    <aside className="preview">
      <button
        type="button"
        className="preview-screen"
        onClick={() => (alive ? showTab(summary.id, 'screen') : void order('start', summary))}
        aria-label={alive ? t('details.openScreen') : t('verb.start')}
        data-testid="preview"
      >
        {alive && picture ? (
          <img src={picture.url} alt={t('details.screenOf', { name: summary.name })} draggable={false} />
        ) : (
          <span className="preview-off">
            <Icon name={alive ? 'display' : 'play'} size={26} />
            {alive ? t('details.openScreen') : t('verb.start')}
          </span>
        )}
      </button>
    </aside>
  );
}
