/** What a process has used of the host so far. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

export interface ProcessUsage {
  /** Time on the host's CPUs since the process began, all its threads together. */
  cpuMs: number;
  /** Memory that it has in the host's RAM now. */
  residentBytes: number;
}

/** USER_HZ, which Linux keeps at 100 for every program that reads /proc. */
const TICK_MS = 10;

/** Undefined where it cannot be told: the process has gone, or the system is one that we do not ask (Windows). */
export async function processUsage(pid: number, platform = process.platform): Promise<ProcessUsage | undefined> {
  if (platform === 'win32') return undefined;
  try {
    return platform === 'linux' ? await linuxUsage(pid) : await psUsage(pid);
  } catch {
    return undefined;
  }
}

/** proc(5): fields 14 and 15 of `stat` are the times in user and kernel mode; the command's name may hold blanks. */
async function linuxUsage(pid: number): Promise<ProcessUsage | undefined> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ]);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  const kibibytes = Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]);
  return Number.isFinite(cpuMs) && Number.isFinite(kibibytes) ? { cpuMs, residentBytes: kibibytes * 1024 } : undefined;
}

async function psUsage(pid: number): Promise<ProcessUsage | undefined> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'time=', '-o', 'rss=', '-p', String(pid)], {
    timeout: 5000,
  });
  return parsePs(stdout);
}

/** A line of `ps -o time= -o rss=`: `[[days-]hours:]minutes:seconds[.hundredths]` and KiB. */
export function parsePs(line: string): ProcessUsage | undefined {
  const match = /^\s*(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)\s+(\d+)\s*$/.exec(line);
  if (!match) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0, kibibytes = 0] = match
    .slice(1)
    .map((part) => Number(part ?? 0));
  const cpuMs = Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000);
  return { cpuMs, residentBytes: kibibytes * 1024 };
}
