/** Makes an empty disk file where the library keeps disks. */
import { type ReactElement, useEffect, useState } from 'react';
import { api } from '../../api/index.ts';
import { useSession } from '../../app/session.ts';
import { formatBytes } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Button, Field, TextInput } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { diskSizeProblem } from '../wizard/problems.ts';
import { SizeInput } from '../wizard/size-input.tsx';
import { freeFileName } from './slots.ts';

export function CreateDiskDialog({
  machineName,
  onCreated,
  onClose,
}: {
  machineName: string;
  onCreated: (path: string) => void;
  onClose: () => void;
}): ReactElement {
  const { info } = useSession();
  const [name, setName] = useState<string>();
  const [bytes, setBytes] = useState(2 * 1024 ** 3);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string>();
  useEffect(() => {
    const stem = machineName.replace(/[^\p{L}\p{N} ._-]/gu, '_');
    api()
      .call('media.list')
      .then((media) => freeFileName(stem, new Set(media.map((medium) => medium.fileName))))
      .catch(() => `${stem}.img`)
      .then((proposed) => setName((typed) => typed ?? proposed));
  }, [machineName]);
  const typed = name ?? '';
  const nameProblem =
    name === undefined
      ? undefined
      : !typed.trim()
        ? t('problem.nameEmpty')
        : /[/\\\p{Cc}]/u.test(typed)
          ? t('problem.fileName')
          : refused;
  const sizeProblem = diskSizeProblem(bytes, info.limits);
  const free = formatBytes(info.limits.freeDiskBytes);
  const create = async () => {
    if (!typed.trim() || nameProblem || sizeProblem) return;
    setBusy(true);
    try {
      const medium = await api().call('media.createDisk', { fileName: typed.trim(), sizeBytes: bytes });
      onCreated(medium.path);
    } catch (error) {
      setRefused((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t('storage.createDisk')}
      onClose={onClose}
      width={440}
      testId="create-disk"
      footer={
        <>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button
            variant="primary"
            busy={busy}
            disabled={!typed || Boolean(nameProblem || sizeProblem)}
            onClick={create}
            data-testid="confirm"
          >
            {t('wizard.create')}
          </Button>
        </>
      }
    >
      <Field label={t('field.fileName')} error={nameProblem}>
        <TextInput
          value={typed}
          onValue={(next) => {
            setName(next);
            setRefused(undefined);
          }}
          data-autofocus
          data-testid="disk-file-name"
        />
      </Field>
      <Field
        label={t('field.size')}
        error={sizeProblem}
        hint={bytes > info.limits.freeDiskBytes ? t('disk.largerThanFree', { free }) : t('disk.sizeHint', { free })}
      >
        <SizeInput bytes={bytes} onBytes={setBytes} />
      </Field>
      <p className="muted small">{t('disk.createdNow')}</p>
    </Dialog>
  );
}
