/** Step one: what it is called, which disc it boots, and what the disc seems to be. */
import { type ReactElement, useEffect, useRef } from 'react';
import type { MachineDefinition } from '../../../electron/api/contract.ts';
import { useSession } from '../../app/session.ts';
import { formatBytes } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Button, Field, IconButton, Spinner, TextInput } from '../../ui/controls.tsx';
import { Icon } from '../../ui/icons.tsx';
import { OsIcon } from '../../ui/os-icon.tsx';
import { GuestSelect } from './guest-select.tsx';
import type { MediumState } from './use-medium.ts';

export function MediumStep({
  definition,
  name,
  nameProblem,
  medium,
  onName,
  onGuest,
  onPath,
  onFile,
  onCancelSending,
  onBrowse,
}: {
  definition: MachineDefinition;
  name: string;
  nameProblem: string | undefined;
  medium: MediumState;
  onName: (name: string) => void;
  onGuest: (guest: string) => void;
  onPath: (path: string) => void;
  onFile: (file: File) => void;
  onCancelSending: () => void;
  onBrowse: () => void;
}): ReactElement {
  const { info } = useSession();
  const picker = useRef<HTMLInputElement>(null);
  const nameInput = useRef<HTMLInputElement>(null);
  // The dialog has been open before the proposal came: nobody has given the focus to a field yet.
  useEffect(() => {
    nameInput.current?.focus();
    nameInput.current?.select();
  }, []);
  const { inspection } = medium;
  return (
    <div className="form">
      <Field label={t('field.name')} error={nameProblem} testId="field-name">
        <TextInput value={name} onValue={onName} ref={nameInput} data-testid="wizard-name" />
      </Field>
      <Field
        label={t('wizard.disc')}
        hint={medium.reading ? t('wizard.reading') : t('wizard.discHint')}
        error={medium.problem}
        testId="field-iso"
        trailing={
          info.capabilities.upload && (
            <>
              <button type="button" className="link small" onClick={() => picker.current?.click()}>
                {t('wizard.upload')}
              </button>
              <input
                ref={picker}
                type="file"
                accept=".iso,.img"
                hidden
                data-testid="wizard-upload"
                onChange={(event) => {
                  const file = event.target.files?.[0];
                  event.target.value = '';
                  if (file) onFile(file);
                }}
              />
            </>
          )
        }
      >
        {medium.sending ? (
          <div className="upload">
            <Icon name="upload" />
            <span className="truncate">{medium.sending.name}</span>
            <progress value={medium.sending.fraction} aria-label={t('wizard.sending')} />
            <span className="num muted">{Math.round(medium.sending.fraction * 100)} %</span>
            <IconButton icon="close" label={t('common.cancel')} onClick={onCancelSending} />
          </div>
        ) : (
          <div className="row">
            <TextInput
              value={medium.path}
              onValue={onPath}
              mono
              placeholder={t('wizard.discPlaceholder')}
              data-testid="wizard-iso"
            />
            <Button icon="folder" onClick={onBrowse} data-testid="wizard-browse">
              {t('common.browse')}
            </Button>
          </div>
        )}
      </Field>
      <div className="guess" data-testid="guess">
        {inspection ? (
          <>
            <OsIcon os={definition.guest} size={44} />
            <div className="grow">
              <strong className="truncate guess-title" title={inspection.label ?? undefined}>
                {inspection.suggestedName || inspection.label || inspection.path}
              </strong>
              <div className="muted small guess-facts">
                <span className="num">{formatBytes(inspection.sizeBytes)}</span>
                <span>{inspection.kind === 'disk' ? t('wizard.isDisk') : bootText(inspection.bootable)}</span>
                {inspection.bits && <span>{t('wizard.bits', { bits: inspection.bits })}</span>}
              </div>
              <div className="muted small truncate" title={inspection.evidence.join('\n')}>
                {inspection.evidence.join(' · ')}
              </div>
              {inspection.warnings.map((warning) => (
                <div key={warning} className="small warn-text">
                  {warning}
                </div>
              ))}
            </div>
          </>
        ) : (
          <div className="guess-none muted">
            {medium.reading || medium.sending ? <Spinner size={18} /> : <Icon name="disc" size={26} />}
            <span>
              {medium.reading ? t('wizard.reading') : medium.sending ? t('wizard.sending') : t('wizard.dropHere')}
            </span>
          </div>
        )}
      </div>
      <Field label={t('field.guest')} hint={t('wizard.guestHint')}>
        <GuestSelect value={definition.guest} onValue={onGuest} />
      </Field>
    </div>
  );
}

function bootText({ bios, efi }: { bios: boolean; efi: boolean }): string {
  if (bios && efi) return t('wizard.boots.both');
  if (bios) return t('wizard.boots.bios');
  return efi ? t('wizard.boots.efi') : t('wizard.boots.none');
}
