/** The settings pages that are plain forms. */
import { type ReactElement, useState } from 'react';
import type { BootDevice, MachineDefinition } from '../../../electron/api/contract.ts';
import { LIMITS } from '../../api/fixed.ts';
import { t } from '../../i18n/index.ts';
import { Checkbox, Field, IconButton, RadioCards, Select, TextArea, TextInput } from '../../ui/controls.tsx';
import { GuestSelect } from '../wizard/guest-select.tsx';
import { BoardFields, HardwareFields } from '../wizard/hardware-fields.tsx';
import type { PageProps } from './settings-dialog.tsx';
import { joinWords, splitWords } from './words.ts';

export function GeneralPage({
  definition,
  change,
  problem,
}: PageProps & { problem: string | undefined }): ReactElement {
  return (
    <div className="form">
      <Field label={t('field.name')} error={problem}>
        <TextInput value={definition.name} onValue={(name) => change({ name })} data-testid="settings-name" />
      </Field>
      <Field label={t('field.guest')} hint={t('settings.guestHint')}>
        <GuestSelect value={definition.guest} onValue={(guest) => change({ guest })} />
      </Field>
      <div className="form-pair">
        <Field label={t('field.onReboot')}>
          <Select
            value={definition.power.onGuestReboot}
            options={[
              { value: 'reset', label: t('power.reset') },
              { value: 'powerOff', label: t('power.powerOff') },
            ]}
            onValue={(onGuestReboot) => change({ power: { ...definition.power, onGuestReboot } })}
          />
        </Field>
        <Field label={t('field.onShutdown')}>
          <Select
            value={definition.power.onGuestShutdown}
            options={[
              { value: 'powerOff', label: t('power.powerOff') },
              { value: 'pause', label: t('power.stay') },
            ]}
            onValue={(onGuestShutdown) => change({ power: { ...definition.power, onGuestShutdown } })}
          />
        </Field>
      </div>
      <Field label={t('field.notes')}>
        <TextArea
          value={definition.notes}
          onValue={(notes) => change({ notes: notes.slice(0, LIMITS.notesLength) })}
          rows={5}
        />
      </Field>
    </div>
  );
}

export function SystemPage({ definition, change }: PageProps): ReactElement {
  return (
    <div className="form">
      <HardwareFields definition={definition} onChange={change} />
      <BoardFields definition={definition} onChange={change} />
      <BootOrder boot={definition.boot} onChange={(boot) => change({ boot })} />
    </div>
  );
}

const BOOT_DEVICES: readonly BootDevice[] = ['cdrom', 'disk'];

function BootOrder({
  boot,
  onChange,
}: {
  boot: MachineDefinition['boot'];
  onChange: (boot: MachineDefinition['boot']) => void;
}): ReactElement {
  const shown = [...boot.order, ...BOOT_DEVICES.filter((device) => !boot.order.includes(device))];
  const move = (device: BootDevice, step: number) => {
    const order = [...boot.order];
    const index = order.indexOf(device);
    order.splice(index, 1);
    order.splice(index + step, 0, device);
    onChange({ ...boot, order });
  };
  return (
    <fieldset className="fieldset">
      <legend>{t('field.bootOrder')}</legend>
      <ul className="boot-order">
        {shown.map((device) => {
          const index = boot.order.indexOf(device);
          return (
            <li key={device}>
              <span className="grow">
                <Checkbox
                  checked={index >= 0}
                  onValue={(on) =>
                    onChange({
                      ...boot,
                      order: on ? [...boot.order, device] : boot.order.filter((known) => known !== device),
                    })
                  }
                >
                  {t(`boot.${device}`)}
                </Checkbox>
              </span>
              <IconButton
                icon="chevronUp"
                label={t('settings.moveUp', { name: t(`boot.${device}`) })}
                disabled={index <= 0}
                onClick={() => move(device, -1)}
              />
              <IconButton
                icon="chevronDown"
                label={t('settings.moveDown', { name: t(`boot.${device}`) })}
                disabled={index < 0 || index === boot.order.length - 1}
                onClick={() => move(device, 1)}
              />
            </li>
          );
        })}
      </ul>
      <Checkbox checked={boot.menu} onValue={(menu) => onChange({ ...boot, menu })} hint={t('settings.bootMenuHint')}>
        {t('settings.bootMenu')}
      </Checkbox>
    </fieldset>
  );
}

export function DisplayPage({ definition, change }: PageProps): ReactElement {
  return (
    <div className="form">
      <Field label={t('field.vga')} hint={t('settings.vgaHint')}>
        <RadioCards
          label={t('field.vga')}
          value={definition.display.vga}
          onValue={(vga) => change({ display: { ...definition.display, vga } })}
          options={[
            { value: 'std', icon: 'display', label: t('vga.std'), description: t('vga.stdText') },
            { value: 'none', icon: 'terminal', label: t('vga.none'), description: t('vga.noneText') },
          ]}
        />
      </Field>
    </div>
  );
}

const PORT_ADDRESSES = ['0x3f8, IRQ 4', '0x2f8, IRQ 3', '0x3e8, IRQ 4', '0x2e8, IRQ 3'];

export function SerialPage({ definition, change }: PageProps): ReactElement {
  const ports = Array.from({ length: LIMITS.serialPorts }, (_, index) => definition.serialPorts[index]?.kind ?? 'none');
  const set = (index: number, kind: 'terminal' | 'none') => {
    const next = ports.map((now, other) => ({ kind: other === index ? kind : now }));
    while (next.length && next[next.length - 1]!.kind === 'none') next.pop();
    change({ serialPorts: next });
  };
  return (
    <div className="form">
      <p className="muted">{t('settings.serialText')}</p>
      <ul className="serial-ports">
        {ports.map((kind, index) => (
          <li key={PORT_ADDRESSES[index]} className="serial-port">
            <span className="grow">
              <Checkbox
                checked={kind === 'terminal'}
                onValue={(on) => set(index, on ? 'terminal' : 'none')}
                hint={PORT_ADDRESSES[index]}
                testId={`com${index + 1}`}
              >
                COM{index + 1}
              </Checkbox>
            </span>
            <span className="muted">{t(`serialKind.${kind}`)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function AdvancedPage({
  definition,
  change,
  problem,
  onProblem,
}: PageProps & { problem: string | undefined; onProblem: (problem: string | undefined) => void }): ReactElement {
  const [text, setText] = useState(() => joinWords(definition.extraArguments));
  const edit = (next: string) => {
    setText(next);
    const split = splitWords(next);
    if ('problem' in split) onProblem(t(`problem.${split.problem}`));
    else if (split.words.length > LIMITS.extraArguments)
      onProblem(t('problem.manyWords', { most: LIMITS.extraArguments }));
    else {
      onProblem(undefined);
      change({ extraArguments: split.words });
    }
  };
  return (
    <div className="form">
      <Field label={t('field.extraArguments')} hint={t('settings.extraHint')} error={problem}>
        <TextArea
          value={text}
          onValue={edit}
          mono
          rows={8}
          placeholder="-d guest_errors"
          data-testid="extra-arguments"
        />
      </Field>
    </div>
  );
}
