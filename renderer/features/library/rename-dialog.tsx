/** A new name, refused as it is typed when it cannot be. */
import { type ReactElement, useState } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt } from '../../app/actions.ts';
import { machines, putDetails, useStore } from '../../app/session.ts';
import { t } from '../../i18n/index.ts';
import { Button, Field, TextInput } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { nameProblem } from '../wizard/problems.ts';

export function RenameDialog({ machine, onClose }: { machine: MachineSummary; onClose: () => void }): ReactElement {
  const [name, setName] = useState(machine.name);
  const [busy, setBusy] = useState(false);
  const others = useStore(machines).filter((other) => other.id !== machine.id);
  const problem = nameProblem(
    name,
    others.map((other) => other.name),
  );
  const save = async () => {
    if (problem || busy) return;
    setBusy(true);
    const done = await attempt(t('failed.rename', { name: machine.name }), async () =>
      putDetails(await api().call('machines.rename', { id: machine.id, name: name.trim() })),
    );
    setBusy(false);
    if (done) onClose();
  };
  return (
    <Dialog
      title={t('rename.title')}
      onClose={onClose}
      width={420}
      testId="rename-dialog"
      footer={
        <>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button variant="primary" disabled={Boolean(problem)} busy={busy} onClick={save} data-testid="confirm">
            {t('verb.renameNow')}
          </Button>
        </>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Field label={t('field.name')} error={problem}>
          <TextInput value={name} onValue={setName} data-autofocus data-testid="rename-name" />
        </Field>
      </form>
    </Dialog>
  );
}
