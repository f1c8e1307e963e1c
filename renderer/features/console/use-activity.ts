/** What the machine does right now, asked for while this window is looked at. */
import { useEffect, useState } from 'react';
import type { MachineActivity } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';

/** Shorter than the manager goes on measuring after the last request. */
const ASK_EVERY_MS = 3000;

/** Undefined until the first measurement, and while `isUp` is false. */
export function useActivity(id: string, isUp: boolean): MachineActivity | undefined {
  const [activity, setActivity] = useState<MachineActivity>();
  useEffect(() => {
    setActivity(undefined);
    if (!isUp) return;
    const off = api().on('machines.activity', (event) => {
      if (event.id === id) setActivity(event.activity);
    });
    const ask = () => {
      if (document.hidden) return;
      // A machine that has just ended; its next summary says so.
      api()
        .call('machines.watchActivity', { id })
        .catch(() => setActivity(undefined));
    };
    ask();
    const timer = setInterval(ask, ASK_EVERY_MS);
    document.addEventListener('visibilitychange', ask);
    return () => {
      off();
      clearInterval(timer);
      document.removeEventListener('visibilitychange', ask);
    };
  }, [id, isUp]);
  return activity;
}
