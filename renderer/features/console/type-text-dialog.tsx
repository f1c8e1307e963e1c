/** Types a text into the guest key by key: pasting for guests that share no clipboard. */
import { type ReactElement, useEffect, useState } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt } from '../../app/actions.ts';
import { t } from '../../i18n/index.ts';
import { Button, Field, TextArea } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { showToast } from '../../ui/toasts.tsx';

const LONGEST = 10_000;

export function TypeTextDialog({ machine, onClose }: { machine: MachineSummary; onClose: () => void }): ReactElement {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    navigator.clipboard
      ?.readText?.()
      .then((pasted) => setText((typed) => typed || pasted.slice(0, LONGEST)))
      .catch(() => undefined); // not allowed: the user pastes it
  }, []);
  const type = async () => {
    setBusy(true);
    const done = await attempt(t('failed.keys', { name: machine.name }), async () => {
      const { notTyped } = await api().call('machines.typeText', { id: machine.id, text });
      if (notTyped.length)
        showToast({ tone: 'info', title: t('typeText.notTyped'), body: [...new Set(notTyped)].join(' ') });
    });
    setBusy(false);
    if (done) onClose();
  };
  const tooLong = text.length > LONGEST ? t('typeText.tooLong', { count: text.length - LONGEST }) : undefined;
  return (
    <Dialog
      title={t('console.typeText')}
      onClose={onClose}
      testId="type-text-dialog"
      footer={
        <>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button
            variant="primary"
            icon="keyboard"
            disabled={!text || Boolean(tooLong)}
            busy={busy}
            onClick={type}
            data-testid="confirm"
          >
            {t('typeText.type')}
          </Button>
        </>
      }
    >
      <Field label={t('typeText.label')} hint={t('typeText.hint')} error={tooLong}>
        <TextArea value={text} onValue={setText} mono rows={6} data-autofocus data-testid="type-text-input" />
      </Field>
    </Dialog>
  );
}
