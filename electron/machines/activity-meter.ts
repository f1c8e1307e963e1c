/** What a running machine does: differences of the engine's counters, and what its process takes of the host. */
import type { CompiledCode, MachineActivity, MachineDefinition } from '../api/contract.ts';
import { driveId } from './command-line.ts';
import type { ProcessUsage } from './process-usage.ts';

/** The running machine as the meter needs it. */
export interface Measured {
  readonly definition: MachineDefinition;
  execute<T>(command: string): Promise<T>;
  usage(): Promise<ProcessUsage | undefined>;
  now(): number;
}

interface Sample {
  at: number;
  drives: Map<string, { read: number; written: number }>;
  execution: Execution | undefined;
  usage: ProcessUsage | undefined;
}

/** What an engine tells of how it executes the guest. */
interface Execution {
  instructions: number;
  compiled: CompiledCode | null;
}

export class ActivityMeter {
  private readonly machine: Measured;
  private before: Sample | undefined;
  /** The engine gives no count of instructions (a QEMU): it is not asked again. */
  private cannotCount = false;

  constructor(machine: Measured) {
    this.machine = machine;
  }

  /** What has happened since the last call; rates are null at the first. Rejects when the engine does not answer. */
  async measure(): Promise<MachineActivity> {
    const { before } = this;
    const now = await this.sample();
    this.before = now;
    const seconds = before ? (now.at - before.at) / 1000 : 0;
    const rate = (from: number | undefined, to: number | undefined) =>
      seconds > 0 && from !== undefined && to !== undefined ? Math.max(0, to - from) / seconds : null;
    const cpuMsPerSecond = rate(before?.usage?.cpuMs, now.usage?.cpuMs);
    const instructionsPerSecond = rate(before?.execution?.instructions, now.execution?.instructions);
    return {
      drives: this.machine.definition.storage.map(({ id }) => ({
        deviceId: id,
        readBytesPerSecond: rate(before?.drives.get(id)?.read, now.drives.get(id)?.read) ?? 0,
        writtenBytesPerSecond: rate(before?.drives.get(id)?.written, now.drives.get(id)?.written) ?? 0,
      })),
      guestMips: instructionsPerSecond === null ? null : instructionsPerSecond / 1e6,
      compiled: now.execution?.compiled ?? null,
      hostCpuPercent: cpuMsPerSecond === null ? null : cpuMsPerSecond / 10,
      hostMemoryBytes: now.usage?.residentBytes ?? null,
    };
  }

  private async sample(): Promise<Sample> {
    const [drives, execution, usage] = await Promise.all([this.drives(), this.execution(), this.machine.usage()]);
    return { at: this.machine.now(), drives, execution, usage };
  }

  private async drives(): Promise<Sample['drives']> {
    const found: Sample['drives'] = new Map();
    const answer = await this.machine.execute<unknown>('query-blockstats');
    const list = Array.isArray(answer)
      ? (answer as ({ device?: unknown; stats?: Record<string, unknown> } | null)[])
      : [];
    for (const drive of this.machine.definition.storage) {
      const stats = list.find((each) => each?.device === driveId(drive))?.stats;
      if (stats) found.set(drive.id, { read: count(stats.rd_bytes), written: count(stats.wr_bytes) });
    }
    return found;
  }

  private async execution(): Promise<Execution | undefined> {
    if (this.cannotCount) return undefined;
    // Without the command, or without the number in its answer, there is nothing to hope for later either.
    const answer = await this.machine.execute<Record<string, unknown>>('x-query-jit').catch(() => undefined);
    const instructions = answer?.['guest-instructions'];
    if (typeof instructions === 'number') return { instructions, compiled: compiledCode(answer?.compiler) };
    this.cannotCount = true;
    return undefined;
  }
}

/** `compiler` of `x-query-jit`. */
function compiledCode(compiler: unknown): CompiledCode | null {
  if (typeof compiler !== 'object' || compiler === null) return null;
  const statistics = compiler as Record<string, unknown>;
  if (statistics.mode === 'off') return null;
  return {
    regions: count(statistics.regions),
    codeBytes: count(statistics['code-bytes']),
    invalidated: count(statistics.invalidated),
  };
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
