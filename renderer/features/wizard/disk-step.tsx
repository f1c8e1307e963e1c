/** Step three: a disk or none, then everything once more as the line that will start it. */
import type { ReactElement } from 'react';
import { useSession } from '../../app/session.ts';
import { formatBytes } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Button, Field, RadioCards, TextInput } from '../../ui/controls.tsx';
import { CommandLineView } from '../command-line/command-line-view.tsx';
import type { Preview } from '../command-line/use-preview.ts';
import type { DiskChoice, Draft } from './draft.ts';
import { SizeInput } from './size-input.tsx';

export function DiskStep({
  draft,
  problem,
  preview,
  onChange,
  onBrowse,
}: {
  draft: Draft;
  problem: string | undefined;
  preview: Preview;
  onChange: (part: Partial<Draft>) => void;
  onBrowse: () => void;
}): ReactElement {
  const { info } = useSession();
  const free = formatBytes(info.limits.freeDiskBytes);
  return (
    <div className="form">
      <RadioCards<DiskChoice>
        label={t('wizard.step.disk')}
        value={draft.disk}
        onValue={(disk) => onChange({ disk })}
        options={[
          { value: 'new', icon: 'plus', label: t('disk.new'), description: t('disk.newText') },
          { value: 'existing', icon: 'disk', label: t('disk.existing'), description: t('disk.existingText') },
          { value: 'none', icon: 'disc', label: t('disk.none'), description: t('disk.noneText') },
        ]}
      />
      <div className="disk-fields">
        {draft.disk === 'new' && (
          <Field
            label={t('field.size')}
            error={problem}
            hint={
              draft.diskBytes > info.limits.freeDiskBytes
                ? t('disk.largerThanFree', { free })
                : t('disk.sizeHint', { free })
            }
          >
            <SizeInput bytes={draft.diskBytes} onBytes={(diskBytes) => onChange({ diskBytes })} />
          </Field>
        )}
        {draft.disk === 'existing' && (
          <Field label={t('field.diskFile')} error={draft.diskPath ? problem : undefined} hint={t('disk.existingHint')}>
            <div className="row">
              <TextInput
                value={draft.diskPath}
                onValue={(diskPath) => onChange({ diskPath })}
                mono
                data-testid="disk-path"
              />
              <Button icon="folder" onClick={onBrowse}>
                {t('common.browse')}
              </Button>
            </div>
          </Field>
        )}
        {draft.disk === 'none' && <p className="muted">{t('disk.noneHint')}</p>}
      </div>
      <div className="col summary">
        <h3>{t('wizard.summary')}</h3>
        {preview.commandLine ? (
          <CommandLineView commandLine={preview.commandLine} compact />
        ) : (
          <div className="command-line command-line-compact" />
        )}
      </div>
    </div>
  );
}
