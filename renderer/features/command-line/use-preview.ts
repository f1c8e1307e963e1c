/** The command line of a definition that is being edited, and what the manager finds wrong with it. */
import { useEffect, useState } from 'react';
import type { CommandLine, Issue, MachineDefinition } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';

export interface Preview {
  /** The last one that could be made: it stays while a value is refused, so that nothing jumps. */
  commandLine: CommandLine | undefined;
  issues: readonly Issue[];
  /** The answer is for the definition as it is now. */
  current: boolean;
}

const PAUSE_MS = 120;

export function usePreview(definition: MachineDefinition | undefined): Preview {
  const [answer, setAnswer] = useState<{
    of: MachineDefinition;
    commandLine: CommandLine | undefined;
    issues: readonly Issue[];
  }>();
  useEffect(() => {
    if (!definition) return;
    let wanted = true;
    const timer = setTimeout(() => {
      api()
        .call('machines.preview', { definition })
        .then(({ commandLine, issues }) => {
          if (wanted)
            setAnswer((before) => ({ of: definition, commandLine: commandLine ?? before?.commandLine, issues }));
        })
        .catch(() => undefined); // the connection is gone: the window says so
    }, PAUSE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [definition]);
  return { commandLine: answer?.commandLine, issues: answer?.issues ?? [], current: answer?.of === definition };
}
