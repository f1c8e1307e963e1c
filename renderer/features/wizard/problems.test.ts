import { describe, expect, it } from 'vitest';
import type { HostLimits } from '../../../electron/api/contract.ts';
import { LIMITS } from '../../api/fixed.ts';
import { cpuProblem, diskSizeProblem, memoryProblem, nameProblem, pathProblem } from './problems.ts';

const limits: HostLimits = {
  memoryMiB: 8192,
  freeMemoryMiB: 4096,
  maximumMachineMemoryMiB: 2048,
  cpuCount: 4,
  maximumMachineCpus: 1,
  freeDiskBytes: 1e9,
  largestDiskBytes: 1e12,
};

describe('what the forms refuse', () => {
  it('names: empty, long, taken, with control characters', () => {
    expect(nameProblem('Debian', ['GRUB'])).toBeUndefined();
    expect(nameProblem('   ', [])).toBeDefined();
    expect(nameProblem('x'.repeat(LIMITS.nameLength), [])).toBeUndefined();
    expect(nameProblem('x'.repeat(LIMITS.nameLength + 1), [])).toBeDefined();
    expect(nameProblem('grub ', ['GRUB'])).toBeDefined();
    expect(nameProblem('a\u0007b', [])).toBeDefined();
  });

  it('memory: half-typed numbers and more than the host gives', () => {
    expect(memoryProblem(2048, limits)).toBeUndefined();
    expect(memoryProblem(2049, limits)).toContain('2 GiB');
    expect(memoryProblem(Number.NaN, limits)).toBeDefined();
    expect(memoryProblem(0, limits)).toBeDefined();
    expect(memoryProblem(1.5, limits)).toBeDefined();
  });

  it('processors beyond what the engine has', () => {
    expect(cpuProblem(1, limits)).toBeUndefined();
    expect(cpuProblem(2, limits)).toBeDefined();
  });

  it('disks of no size, or larger than the file system takes', () => {
    expect(diskSizeProblem(1e12, limits)).toBeUndefined();
    expect(diskSizeProblem(1e12 + 512, limits)).toBeDefined();
    expect(diskSizeProblem(100, limits)).toBeDefined();
    expect(diskSizeProblem(Number.NaN, limits)).toBeDefined();
  });

  it('paths that are not absolute on either kind of host', () => {
    for (const path of ['/a.iso', 'C:\\a.iso', 'd:/a.iso']) expect(pathProblem(path)).toBeUndefined();
    for (const path of ['', 'a.iso', '~/a.iso', '/a\nb']) expect(pathProblem(path)).toBeDefined();
  });
});
