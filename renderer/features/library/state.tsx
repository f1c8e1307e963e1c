/** The words and the colour of a machine's state. */
import type { ReactElement } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';

type Stateful = Pick<MachineSummary, 'state' | 'pauseReason' | 'failure'>;

export function stateText({ state, pauseReason, failure }: Stateful): string {
  if (state === 'paused' && pauseReason && pauseReason !== 'user') return t(`pauseReason.${pauseReason}`);
  if (failed({ state, failure })) return failure?.kind === 'start-failed' ? t('state.startFailed') : t('state.crashed');
  return t(`state.${state}`);
}

/** The last run ended badly, and nobody has dismissed it yet. */
function failed({ state, failure }: Pick<MachineSummary, 'state' | 'failure'>): boolean {
  return state === 'crashed' || (state === 'off' && failure !== null);
}

/** Colour never stands alone: the text is always beside it or in its name. */
export function StateDot({ machine }: { machine: Stateful }): ReactElement {
  return <span className={`state-dot state-${failed(machine) ? 'crashed' : machine.state}`} aria-hidden="true" />;
}
