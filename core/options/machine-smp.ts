/** -smp: processor topology, with QEMU 7.2's rules (cores before sockets) and messages. */

import { UserError } from '../util/errors.ts';
import type { KeyvalDict } from './keyval.ts';
import { scanInteger } from './parse-values.ts';

const KEYS = ['cpus', 'sockets', 'dies', 'clusters', 'cores', 'threads', 'maxcpus'] as const;
type Key = (typeof KEYS)[number];

/** What a board allows. */
export interface SmpLimits {
  /** The machine type's full name, for messages. */
  readonly machine: string;
  readonly minCpus: number;
  readonly maxCpus: number;
  readonly diesSupported: boolean;
  readonly clustersSupported: boolean;
}

export interface CpuTopology {
  readonly cpus: number;
  readonly maxCpus: number;
  readonly sockets: number;
  readonly dies: number;
  readonly clusters: number;
  readonly cores: number;
  readonly threads: number;
}

/** Works out the topology that `dict` (what -smp gave) means on a board. */
export function parseSmp(dict: KeyvalDict, limits: SmpLimits, warn: (text: string) => void): CpuTopology {
  const given = readKeys(dict);
  if (Object.values(given).some((value) => value === 0)) {
    warn('Deprecated CPU topology (considered invalid): CPU topology parameters must be greater than zero');
  }
  if (!limits.diesSupported && (given.dies ?? 0) > 1) {
    throw new UserError("dies not supported by this machine's CPU topology");
  }
  if (!limits.clustersSupported && (given.clusters ?? 0) > 1) {
    throw new UserError("clusters not supported by this machine's CPU topology");
  }
  const topology = complete(given);
  check(topology, limits);
  return topology;
}

function readKeys(dict: KeyvalDict): Partial<Record<Key, number>> {
  const given: Partial<Record<Key, number>> = {};
  for (const key of KEYS) {
    const text = dict[key];
    if (text === undefined) continue;
    const value = typeof text === 'string' ? scanInteger(text) : undefined;
    if (value === undefined || value !== BigInt.asIntN(64, value)) {
      throw new UserError(`Parameter 'smp.${key}' expects integer`);
    }
    given[key] = Number(value);
  }
  const stranger = Object.keys(dict).find((key) => !(KEYS as readonly string[]).includes(key));
  if (stranger !== undefined) throw new UserError(`Parameter 'smp.${stranger}' is unexpected`);
  return given;
}

function complete(given: Partial<Record<Key, number>>): CpuTopology {
  let sockets = given.sockets ?? 0;
  let cores = given.cores ?? 0;
  let threads = given.threads ?? 0;
  const dies = given.dies || 1;
  const clusters = given.clusters || 1;
  const cpus = given.cpus ?? 0;
  const wanted = given.maxcpus || cpus;
  const share = (others: number): number => Math.trunc(wanted / others);
  if (wanted === 0) {
    sockets ||= 1;
    cores ||= 1;
    threads ||= 1;
  } else if (cores === 0) {
    sockets ||= 1;
    threads ||= 1;
    cores = share(sockets * dies * clusters * threads);
  } else if (sockets === 0) {
    threads ||= 1;
    sockets = share(dies * clusters * cores * threads);
  }
  threads ||= share(sockets * dies * clusters * cores);
  const maxCpus = wanted || sockets * dies * clusters * cores * threads;
  return { cpus: cpus || maxCpus, maxCpus, sockets, dies, clusters, cores, threads };
}

function check(t: CpuTopology, limits: SmpLimits): void {
  const levels = [
    `sockets (${t.sockets})`,
    ...(limits.diesSupported ? [`dies (${t.dies})`] : []),
    ...(limits.clustersSupported ? [`clusters (${t.clusters})`] : []),
    `cores (${t.cores})`,
    `threads (${t.threads})`,
  ].join(' * ');
  if (t.sockets * t.dies * t.clusters * t.cores * t.threads !== t.maxCpus) {
    throw new UserError(
      `Invalid CPU topology: product of the hierarchy must match maxcpus: ${levels} != maxcpus (${t.maxCpus})`,
    );
  }
  if (t.maxCpus < t.cpus) {
    throw new UserError(
      `Invalid CPU topology: maxcpus must be equal to or greater than smp: ${levels} == maxcpus (${t.maxCpus}) < smp_cpus (${t.cpus})`,
    );
  }
  const bound = (word: string, limit: number): string =>
    `Invalid SMP CPUs ${word === 'min' ? t.cpus : t.maxCpus}. The ${word} CPUs supported by machine '${limits.machine}' is ${limit}`;
  // A negative count comes out as an impossible topology only after these two: QEMU compares as unsigned.
  if (t.cpus >= 0 && t.cpus < limits.minCpus) throw new UserError(bound('min', limits.minCpus));
  if (t.maxCpus < 0 || t.maxCpus > limits.maxCpus) throw new UserError(bound('max', limits.maxCpus));
}
