/** Cutting the power loses what the guest has not written yet; so it is asked. */
import type { ReactElement } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { order } from '../../app/actions.ts';
import { isAllowed } from '../../app/orders.ts';
import { useMachine } from '../../app/session.ts';
import { t } from '../../i18n/index.ts';
import { Button } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';

export function PowerOffDialog({ machine, onClose }: { machine: MachineSummary; onClose: () => void }): ReactElement {
  const now = useMachine(machine.id) ?? machine;
  return (
    <Dialog
      title={t('powerOff.title', { name: machine.name })}
      onClose={onClose}
      width={480}
      testId="power-off-dialog"
      footer={
        <>
          <Button onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <span className="grow" />
          <Button
            disabled={!isAllowed('shutdown', now)}
            icon="acpi"
            onClick={() => {
              onClose();
              void order('shutdown', now);
            }}
          >
            {t('verb.shutdown')}
          </Button>
          <Button
            variant="danger"
            icon="power"
            data-testid="confirm"
            onClick={() => {
              onClose();
              void order('powerOff', now);
            }}
          >
            {t('verb.powerOff')}
          </Button>
        </>
      }
    >
      <p>{t('powerOff.text')}</p>
    </Dialog>
  );
}
