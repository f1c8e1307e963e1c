/** A size in MiB or GiB; the unit is the user's and stays while the number is typed. */
import { type ReactElement, useState } from 'react';
import { t } from '../../i18n/index.ts';
import { NumberInput, Select } from '../../ui/controls.tsx';

const UNITS = { MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
type Unit = keyof typeof UNITS;

export function SizeInput({ bytes, onBytes }: { bytes: number; onBytes: (bytes: number) => void }): ReactElement {
  const [unit, setUnit] = useState<Unit>(() => (bytes >= UNITS.GiB ? 'GiB' : 'MiB'));
  const value = Number((bytes / UNITS[unit]).toFixed(3));
  return (
    <div className="row size-input">
      <NumberInput
        value={value}
        min={0}
        step="any"
        onValue={(next) => onBytes(Math.round((next * UNITS[unit]) / 512) * 512)}
        data-testid="disk-size"
      />
      <Select
        value={unit}
        options={[
          { value: 'MiB', label: 'MiB' },
          { value: 'GiB', label: 'GiB' },
        ]}
        aria-label={t('field.unit')}
        onValue={(next) => {
          setUnit(next);
          onBytes(Math.round(value * UNITS[next]));
        }}
        data-testid="disk-unit"
      />
    </div>
  );
}
