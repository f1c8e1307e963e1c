/** The wizard's disc: typed, chosen or dropped; sent to the host when it has to be; read to guess the guest. */
import { useCallback, useEffect, useRef, useState } from 'react';
import type { MediumInspection } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { upload } from '../../api/web.ts';
import type { WizardMedium } from '../../app/view.ts';
import { pathProblem } from './problems.ts';

export interface MediumState {
  path: string;
  inspection: MediumInspection | undefined;
  problem: string | undefined;
  reading: boolean;
  sending: { name: string; fraction: number } | undefined;
}

const NOTHING: MediumState = {
  path: '',
  inspection: undefined,
  problem: undefined,
  reading: false,
  sending: undefined,
};
const PAUSE_MS = 250;

export function useMedium(
  first: WizardMedium | undefined,
  onInspected: (inspection: MediumInspection) => void,
): { medium: MediumState; setPath: (path: string) => void; send: (file: File) => void; cancelSending: () => void } {
  const [medium, setMedium] = useState<MediumState>(NOTHING);
  const inspected = useRef(onInspected);
  inspected.current = onInspected;
  const sending = useRef<AbortController>(undefined);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const serial = useRef(0);

  const setPath = useCallback((path: string) => {
    const mine = ++serial.current;
    clearTimeout(timer.current);
    const trimmed = path.trim();
    if (!trimmed) {
      setMedium(NOTHING);
      return;
    }
    const problem = pathProblem(trimmed);
    setMedium({ ...NOTHING, path, problem, reading: !problem });
    if (problem) return;
    timer.current = setTimeout(async () => {
      try {
        const inspection = await api().call('media.inspect', { path: trimmed });
        if (mine !== serial.current) return;
        setMedium({ ...NOTHING, path: trimmed, inspection });
        inspected.current(inspection);
      } catch (error) {
        if (mine === serial.current) setMedium({ ...NOTHING, path, problem: (error as Error).message });
      }
    }, PAUSE_MS);
  }, []);

  const send = useCallback(
    (file: File) => {
      const abort = new AbortController();
      sending.current?.abort();
      sending.current = abort;
      setMedium({ ...NOTHING, sending: { name: file.name, fraction: 0 } });
      upload(
        file,
        (fraction) => setMedium((now) => (now.sending ? { ...now, sending: { name: file.name, fraction } } : now)),
        abort.signal,
      )
        .then(setPath)
        .catch((error: unknown) =>
          setMedium({ ...NOTHING, problem: abort.signal.aborted ? undefined : (error as Error).message }),
        );
    },
    [setPath],
  );

  const began = useRef(false);
  useEffect(() => {
    if (began.current || !first) return;
    began.current = true;
    if ('path' in first) setPath(first.path);
    else send(first.file);
  }, [first, send, setPath]);

  return { medium, setPath, send, cancelSending: () => sending.current?.abort() };
}
