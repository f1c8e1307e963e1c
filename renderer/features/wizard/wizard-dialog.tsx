/** New machine in three steps: name and disc, hardware, disk with a summary. */
import { type ReactElement, useEffect, useMemo, useRef, useState } from 'react';
import type { MachineDefinition } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { attempt, order } from '../../app/actions.ts';
import { machines, putDetails, useSession, useStore } from '../../app/session.ts';
import { select, type WizardMedium } from '../../app/view.ts';
import { t } from '../../i18n/index.ts';
import { Button, Spinner } from '../../ui/controls.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Icon } from '../../ui/icons.tsx';
import { usePreview } from '../command-line/use-preview.ts';
import { useFileChooser } from '../storage/file-dialog.tsx';
import { DiskStep } from './disk-step.tsx';
import { type Draft, draftOf, result, withDiskMedium, withProposal } from './draft.ts';
import { BoardFields, HardwareFields } from './hardware-fields.tsx';
import { MediumStep } from './medium-step.tsx';
import { cpuProblem, diskSizeProblem, memoryProblem, nameProblem, pathProblem } from './problems.ts';
import { useMedium } from './use-medium.ts';

const STEPS = ['medium', 'hardware', 'disk'] as const;

export function WizardDialog({
  medium: first,
  onClose,
}: {
  medium?: WizardMedium | undefined;
  onClose: () => void;
}): ReactElement {
  const { info } = useSession();
  const others = useStore(machines).map((machine) => machine.name);
  const [step, setStep] = useState(0);
  const [draft, setDraft] = useState<Draft>();
  const [busy, setBusy] = useState<'create' | 'start'>();
  const { choose, dialog } = useFileChooser();
  const asked = useRef(0);

  const propose = async (guest: string, name: string | undefined, iso: string) => {
    const mine = ++asked.current;
    await attempt(t('failed.propose'), async () => {
      const { definition, diskBytes } = await api().call('machines.propose', {
        guest,
        ...(name ? { name } : {}),
        ...(iso ? { iso } : {}),
      });
      if (mine !== asked.current) return;
      setDraft((now) =>
        now ? withProposal({ ...now, iso }, definition, diskBytes) : draftOf(definition, diskBytes, iso),
      );
    });
  };
  const { medium, setPath, send, cancelSending } = useMedium(first, (inspection) => {
    const guest = draft?.touched.guest ?? inspection.guest;
    if (inspection.kind === 'disk') {
      void propose(guest, inspection.suggestedName || undefined, '').then(() =>
        setDraft((now) => now && withDiskMedium(now, inspection.path)),
      );
    } else void propose(guest, inspection.suggestedName || undefined, inspection.path);
  });
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    void propose('other', undefined, '');
  });
  useEffect(() => {
    // A disc that is taken out again, or that cannot be read, leaves the machine's drive empty.
    if (!medium.inspection) setDraft((now) => (now?.iso ? { ...now, iso: '' } : now));
  }, [medium.inspection]);

  const body = useRef<HTMLFormElement>(null);
  const shown = useRef(step);
  useEffect(() => {
    if (shown.current === step) return;
    shown.current = step;
    body.current?.querySelector<HTMLElement>('input:not(:disabled):not([type=radio]), input:checked, select')?.focus();
  }, [step]);

  const made = useMemo(() => (draft ? result(draft) : undefined), [draft]);
  const preview = usePreview(made?.definition);
  const problems = made && draft ? stepProblems(made.definition, draft, others, info.limits, medium) : undefined;
  const isValid = (index: number) => Boolean(problems?.[index]?.every((problem) => !problem));
  const change = (touched: Partial<MachineDefinition>) =>
    setDraft((now) => now && { ...now, touched: { ...now.touched, ...touched } });
  const last = step === STEPS.length - 1;
  const blocking = preview.current ? preview.issues.find((issue) => issue.severity === 'error') : undefined;
  const ready = STEPS.every((_, index) => isValid(index));

  const create = async (start: boolean) => {
    if (!made) return;
    setBusy(start ? 'start' : 'create');
    const done = await attempt(t('failed.create', { name: made.definition.name }), async () => {
      const details = await api().call('machines.create', made);
      putDetails(details);
      select(details.summary.id);
      onClose();
      if (start) void order('start', details.summary);
    });
    if (!done) setBusy(undefined);
  };
  const next = () => {
    if (!isValid(step)) return;
    if (last) void create(true);
    else setStep(step + 1);
  };

  return (
    <Dialog
      title={t('wizard.title')}
      width={760}
      height="min(600px, calc(100vh - 32px))"
      onClose={onClose}
      flush
      testId="wizard"
      footer={
        <>
          {step > 0 && (
            <Button icon="chevronLeft" onClick={() => setStep(step - 1)} data-testid="wizard-back">
              {t('common.back')}
            </Button>
          )}
          <span className="grow truncate danger-text" role="status">
            {last && blocking && isValid(2) ? blocking.message : ''}
          </span>
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          {last ? (
            <>
              <Button
                busy={busy === 'create'}
                disabled={!ready || Boolean(busy)}
                onClick={() => create(false)}
                data-testid="wizard-create"
              >
                {t('wizard.create')}
              </Button>
              <Button
                variant="primary"
                icon="play"
                busy={busy === 'start'}
                disabled={!ready || Boolean(busy)}
                onClick={() => create(true)}
                data-testid="wizard-create-start"
              >
                {t('wizard.createAndStart')}
              </Button>
            </>
          ) : (
            <Button variant="primary" disabled={!isValid(step)} onClick={next} data-testid="wizard-next">
              {t('common.next')}
            </Button>
          )}
        </>
      }
    >
      <ol className="stepper">
        {STEPS.map((name, index) => (
          <li key={name} aria-current={index === step ? 'step' : undefined} data-done={index < step || undefined}>
            <button
              type="button"
              disabled={index > step && !STEPS.slice(0, index).every((_, before) => isValid(before))}
              onClick={() => setStep(index)}
            >
              <span className="step-number">{index < step ? <Icon name="check" size={12} /> : index + 1}</span>
              {t(`wizard.step.${name}`)}
            </button>
          </li>
        ))}
      </ol>
      <form
        ref={body}
        className="wizard-body"
        onSubmit={(event) => {
          event.preventDefault();
          next();
        }}
      >
        {!draft || !made ? (
          <div className="row muted">
            <Spinner /> {t('common.loading')}
          </div>
        ) : step === 0 ? (
          <MediumStep
            definition={made.definition}
            name={draft.touched.name ?? draft.base.name}
            nameProblem={problems?.[0]?.[0]}
            medium={medium}
            onName={(name) => change({ name })}
            onGuest={(guest) => {
              change({ guest });
              void propose(guest, draft.touched.name ?? draft.base.name, draft.iso);
            }}
            onPath={setPath}
            onFile={send}
            onCancelSending={cancelSending}
            onBrowse={() =>
              choose({ title: t('files.chooseIso'), filter: 'iso', startAt: medium.path || null, onChoose: setPath })
            }
          />
        ) : step === 1 ? (
          <div className="form">
            <HardwareFields definition={made.definition} onChange={change} />
            <BoardFields definition={made.definition} onChange={change} />
          </div>
        ) : (
          <DiskStep
            draft={draft}
            problem={problems?.[2]?.[0]}
            preview={preview}
            onChange={(part) => setDraft({ ...draft, ...part, diskTouched: true })}
            onBrowse={() =>
              choose({
                title: t('files.chooseDisk'),
                filter: 'disk',
                startAt: draft.diskPath || null,
                onChoose: (diskPath) => setDraft({ ...draft, diskPath, diskTouched: true }),
              })
            }
          />
        )}
        <button type="submit" hidden />
      </form>
      {dialog}
    </Dialog>
  );
}

/** Per step what is refused; `undefined` where all is well. */
function stepProblems(
  definition: MachineDefinition,
  draft: Draft,
  others: readonly string[],
  limits: Parameters<typeof memoryProblem>[1],
  medium: ReturnType<typeof useMedium>['medium'],
): (string | undefined)[][] {
  const mediumOpen = medium.reading || medium.sending ? t('wizard.waitForMedium') : medium.problem;
  const disk =
    draft.disk === 'new'
      ? diskSizeProblem(draft.diskBytes, limits)
      : draft.disk === 'existing'
        ? pathProblem(draft.diskPath)
        : undefined;
  return [
    [nameProblem(draft.touched.name ?? draft.base.name, others), mediumOpen],
    [memoryProblem(definition.memoryMiB, limits), cpuProblem(definition.cpu.count, limits)],
    [disk],
  ];
}
