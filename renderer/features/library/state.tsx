/** The words and the colour of a machine's state. */
import type { ReactElement } from 'react';
import type { MachineSummary } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';

type Stateful = Pick<MachineSummary, 'state' | 'pauseReason' | 'failure'>;

export function stateText({ state, pauseReason, failure }: Stateful): string {
  if (state === 'paused' && pauseReason && pauseReason !== 'user') return t(`pauseReason.${pauseReason}`);
  if (state === 'crashed' && failure?.kind === 'start-failed') return t('state.startFailed');
  return t(`state.${state}`);
}

/** Colour never stands alone: the text is always beside it or in its name. */
export function StateDot({ machine }: { machine: Stateful }): ReactElement {
  return <span className={`state-dot state-${machine.state}`} aria-hidden="true" />;
}
