/** Memory, processors, CPU model: the same rows in the wizard and in the settings. */
import type { ReactElement } from 'react';
import type { MachineDefinition } from '../../../electron/api/contract.ts';
import { LIMITS } from '../../api/fixed.ts';
import { useSession } from '../../app/session.ts';
import { formatMiB } from '../../i18n/format.ts';
import { t } from '../../i18n/index.ts';
import { Field, NumberInput, Select, Slider } from '../../ui/controls.tsx';
import { fromPosition, memoryMarks, toPosition } from './memory-scale.ts';
import { cpuProblem, memoryProblem } from './problems.ts';

export function HardwareFields({
  definition,
  onChange,
}: {
  definition: MachineDefinition;
  onChange: (change: Partial<MachineDefinition>) => void;
}): ReactElement {
  const { info } = useSession();
  const { limits } = info;
  const family = info.guestFamilies.find((candidate) => candidate.id === definition.guest);
  const mostMemory = Math.min(LIMITS.memoryMiB.max, limits.maximumMachineMemoryMiB);
  const mostCpus = Math.min(LIMITS.cpuCount.max, limits.maximumMachineCpus);
  const { memoryMiB, cpu } = definition;
  const memoryHint =
    memoryMiB > limits.freeMemoryMiB
      ? t('hardware.memoryTight', { free: formatMiB(limits.freeMemoryMiB) })
      : family && memoryMiB < family.minimumMemoryMiB
        ? t('hardware.memoryLow', { guest: family.label, least: formatMiB(family.minimumMemoryMiB) })
        : t('hardware.memoryHint', { free: formatMiB(limits.freeMemoryMiB), all: formatMiB(limits.memoryMiB) });
  const models = info.cpuModels.includes(cpu.model) ? info.cpuModels : [cpu.model, ...info.cpuModels];
  return (
    <>
      <Field label={t('field.memory')} hint={memoryHint} error={memoryProblem(memoryMiB, limits)} testId="field-memory">
        <div className="memory-row">
          <Slider
            min={0}
            max={toPosition(mostMemory)}
            value={toPosition(memoryMiB)}
            marks={memoryMarks(mostMemory)}
            comfortable={toPosition(limits.freeMemoryMiB)}
            label={t('field.memory')}
            valueText={formatMiB(memoryMiB)}
            onValue={(position) => onChange({ memoryMiB: Math.min(fromPosition(position), mostMemory) })}
            testId="memory-slider"
          />
          <NumberInput
            value={memoryMiB}
            min={LIMITS.memoryMiB.min}
            max={mostMemory}
            unit="MiB"
            onValue={(value) => onChange({ memoryMiB: value })}
            data-testid="memory"
          />
        </div>
      </Field>
      <div className="form-pair">
        <Field
          label={t('field.processors')}
          hint={mostCpus === 1 ? t('hardware.oneCpu') : t('hardware.cpuHint', { count: limits.cpuCount })}
          error={cpuProblem(cpu.count, limits)}
        >
          {mostCpus === 1 ? (
            <NumberInput value={cpu.count} min={1} max={1} disabled onValue={() => undefined} data-testid="cpu-count" />
          ) : (
            <NumberInput
              value={cpu.count}
              min={1}
              max={mostCpus}
              onValue={(count) => onChange({ cpu: { ...cpu, count } })}
              data-testid="cpu-count"
            />
          )}
        </Field>
        <Field
          label={t('field.cpuModel')}
          hint={family && family.cpuModel === cpu.model ? t('hardware.cpuModelFits') : undefined}
        >
          <Select
            value={cpu.model}
            options={models.map((model) => ({ value: model, label: model }))}
            onValue={(model) => onChange({ cpu: { ...cpu, model } })}
            data-testid="cpu-model"
          />
        </Field>
      </div>
    </>
  );
}

/** Machine type and clock. */
export function BoardFields({
  definition,
  onChange,
}: {
  definition: MachineDefinition;
  onChange: (change: Partial<MachineDefinition>) => void;
}): ReactElement {
  return (
    <div className="form-pair">
      <Field label={t('field.machineType')}>
        <Select
          value={definition.machineType}
          options={[{ value: 'pc', label: t('machineType.pc') }]}
          onValue={(machineType) => onChange({ machineType })}
        />
      </Field>
      <Field label={t('field.clock')} hint={t('settings.clockHint')}>
        <Select
          value={definition.clock}
          options={[
            { value: 'utc', label: t('clock.utc') },
            { value: 'localtime', label: t('clock.localtime') },
          ]}
          onValue={(clock) => onChange({ clock })}
        />
      </Field>
    </div>
  );
}
