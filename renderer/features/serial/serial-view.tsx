/** The serial ports that are terminals, one at a time. */
import { type ReactElement, useState } from 'react';
import type { MachineDetails, MachineSummary } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';
import { Segmented } from '../../ui/controls.tsx';
import { TerminalView } from './terminal-view.tsx';

export function SerialView({ machine, details }: { machine: MachineSummary; details: MachineDetails }): ReactElement {
  const ports = details.definition.serialPorts.flatMap((port, index) => (port.kind === 'terminal' ? [index] : []));
  const [chosen, setChosen] = useState(ports[0] ?? 0);
  const port = ports.includes(chosen) ? chosen : (ports[0] ?? 0);
  return (
    <TerminalView
      key={port}
      machine={machine}
      kind="serial"
      port={port}
      isOpen={details.runtime?.channels.serial.includes(port) ?? false}
      hint={t('serial.hint', { port: port + 1, device: `ttyS${port}` })}
      {...(ports.length > 1
        ? {
            leading: (
              <Segmented
                label={t('serial.ports')}
                value={String(port)}
                options={ports.map((index) => ({ value: String(index), label: `COM${index + 1}` }))}
                onValue={(value) => setChosen(Number(value))}
              />
            ),
          }
        : {})}
    />
  );
}
