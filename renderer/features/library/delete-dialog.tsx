/** Deletes a machine after saying, file by file, what goes and what stays. */
import { type ReactElement, useEffect, useState } from 'react';
import type { DeletionPlan, MachineSummary } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt } from '../../app/actions.ts';
import { formatBytes } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Banner, Button, Checkbox, Spinner } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { showToast } from '../../ui/toasts.tsx';

export function DeleteDialog({ machine, onClose }: { machine: MachineSummary; onClose: () => void }): ReactElement {
  const [plan, setPlan] = useState<DeletionPlan>();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    let current = true;
    void attempt(t('failed.delete', { name: machine.name }), async () => {
      const next = await api().call('machines.deletionPlan', { id: machine.id });
      if (!current) return;
      setPlan(next);
      setChosen(
        new Set(
          next.files
            .filter((file) => file.owned && file.usedBy.every(({ id }) => id === machine.id))
            .map((file) => file.path),
        ),
      );
    });
    return () => {
      current = false;
    };
  }, [machine.id, machine.name]);
  const others = (file: DeletionPlan['files'][number]) => file.usedBy.filter(({ id }) => id !== machine.id);
  const lost = plan?.files.filter((file) => chosen.has(file.path)) ?? [];
  const lostBytes = lost.reduce((sum, file) => sum + file.allocatedBytes, 0);
  const remove = async () => {
    setBusy(true);
    const done = await attempt(t('failed.delete', { name: machine.name }), () =>
      api().call('machines.delete', { id: machine.id, deleteFiles: [...chosen] }),
    );
    setBusy(false);
    if (!done) return;
    showToast({ tone: 'ok', title: t('delete.done', { name: machine.name }) });
    onClose();
  };
  return (
    <Dialog
      title={t('delete.title', { name: machine.name })}
      onClose={onClose}
      width={540}
      testId="delete-dialog"
      footer={
        <>
          <Button onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button variant="danger" icon="trash" disabled={!plan} busy={busy} onClick={remove} data-testid="confirm">
            {lost.length ? t('delete.withFiles') : t('delete.only')}
          </Button>
        </>
      }
    >
      <div className="col" style={{ gap: 14, minHeight: 96 }}>
        <p>{t('delete.text')}</p>
        {!plan && <Spinner />}
        {plan && plan.files.length === 0 && <p className="muted">{t('delete.noFiles')}</p>}
        {plan?.files.map((file) => (
          <Checkbox
            key={file.path}
            checked={chosen.has(file.path)}
            disabled={!file.owned || others(file).length > 0}
            onValue={(on) => {
              const next = new Set(chosen);
              if (on) next.add(file.path);
              else next.delete(file.path);
              setChosen(next);
            }}
            hint={
              others(file).length > 0
                ? t('delete.usedBy', {
                    names: others(file)
                      .map(({ name }) => name)
                      .join(', '),
                  })
                : file.owned
                  ? t('delete.size', { size: formatBytes(file.sizeBytes), allocated: formatBytes(file.allocatedBytes) })
                  : t('delete.notOwned')
            }
          >
            <span className="selectable" style={{ overflowWrap: 'anywhere' }}>
              {file.path}
            </span>
          </Checkbox>
        ))}
        {lostBytes > 0 && <Banner tone="warn">{t('delete.warning', { size: formatBytes(lostBytes) })}</Banner>}
      </div>
    </Dialog>
  );
}
