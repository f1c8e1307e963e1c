/** Guest operating systems by family, with the hardware that suits each: data, so that a new one is one line. */
import type { MachineDefinition } from './definition.ts';

export interface GuestFamily {
  id: string;
  /** Not translated: the system's own name. `other` is shown by the renderer in the user's language. */
  label: string;
  group: 'linux' | 'windows' | 'dos' | 'bsd' | 'tools' | 'other';
  bits: 16 | 32 | 64;
  /** Picture in the list: a name that the renderer draws. */
  icon: 'linux' | 'windows' | 'dos' | 'bsd' | 'tool' | 'generic';
  memoryMiB: number;
  minimumMemoryMiB: number;
  /** 0: the wizard proposes no disk. */
  diskMiB: number;
  cpuModel: string;
  clock: MachineDefinition['clock'];
}

type Row = [
  id: string,
  label: string,
  group: GuestFamily['group'],
  bits: GuestFamily['bits'],
  icon: GuestFamily['icon'],
  memoryMiB: number,
  minimumMemoryMiB: number,
  diskMiB: number,
  cpuModel: string,
  clock: GuestFamily['clock'],
];

// biome-ignore format: a table
const ROWS: Row[] = [
  ['boot-tool',   'Boot and rescue tool',  'tools',   32, 'tool',    128,  8,    0,     'qemu64',   'utc'],
  ['memtest',     'Memtest86+',            'tools',   32, 'tool',    128,  16,   0,     'qemu64',   'utc'],
  ['freedos',     'FreeDOS',               'dos',     16, 'dos',     32,   2,    500,   'pentium',  'localtime'],
  ['msdos',       'MS-DOS',                'dos',     16, 'dos',     16,   1,    500,   '486',      'localtime'],
  ['windows-9x',  'Windows 95, 98, ME',    'windows', 32, 'windows', 128,  16,   2048,  'pentium2', 'localtime'],
  ['windows-nt',  'Windows NT, 2000, XP',  'windows', 32, 'windows', 512,  64,   10240, 'qemu32',   'localtime'],
  ['windows-7',   'Windows 7',             'windows', 64, 'windows', 2048, 1024, 32768, 'qemu64',   'localtime'],
  ['windows-10',  'Windows 10, 11',        'windows', 64, 'windows', 3072, 2048, 65536, 'qemu64',   'localtime'],
  ['linux-32',    'Linux (32-bit)',        'linux',   32, 'linux',   512,  16,   8192,  'qemu32',   'utc'],
  ['linux-64',    'Linux (64-bit)',        'linux',   64, 'linux',   1024, 64,   20480, 'qemu64',   'utc'],
  ['debian',      'Debian (64-bit)',       'linux',   64, 'linux',   1024, 256,  20480, 'qemu64',   'utc'],
  ['ubuntu',      'Ubuntu (64-bit)',       'linux',   64, 'linux',   2048, 1024, 25600, 'qemu64',   'utc'],
  ['fedora',      'Fedora (64-bit)',       'linux',   64, 'linux',   2048, 1024, 25600, 'qemu64',   'utc'],
  ['arch',        'Arch Linux (64-bit)',   'linux',   64, 'linux',   1024, 512,  20480, 'qemu64',   'utc'],
  ['alpine',      'Alpine Linux',          'linux',   64, 'linux',   256,  128,  4096,  'qemu64',   'utc'],
  ['tinycore',    'Tiny Core Linux',       'linux',   32, 'linux',   128,  48,   1024,  'qemu32',   'utc'],
  ['freebsd',     'FreeBSD',               'bsd',     64, 'bsd',     1024, 256,  20480, 'qemu64',   'utc'],
  ['openbsd',     'OpenBSD',               'bsd',     64, 'bsd',     512,  128,  10240, 'qemu64',   'utc'],
  ['netbsd',      'NetBSD',                'bsd',     64, 'bsd',     512,  64,   10240, 'qemu64',   'utc'],
  ['reactos',     'ReactOS',               'windows', 32, 'windows', 256,  96,   4096,  'qemu32',   'localtime'],
  ['haiku',       'Haiku',                 'other',   32, 'generic', 512,  256,  4096,  'qemu32',   'localtime'],
  ['other',       'Other',                 'other',   32, 'generic', 256,  1,    2048,  'qemu32',   'utc'],
];

export const GUEST_FAMILIES: readonly GuestFamily[] = ROWS.map(
  ([id, label, group, bits, icon, memoryMiB, minimumMemoryMiB, diskMiB, cpuModel, clock]) => ({
    id,
    label,
    group,
    bits,
    icon,
    memoryMiB,
    minimumMemoryMiB,
    diskMiB,
    cpuModel,
    clock,
  }),
);

/** The family of that id, or `other`. */
export function guestFamily(id: string): GuestFamily {
  return GUEST_FAMILIES.find((family) => family.id === id) ?? GUEST_FAMILIES[GUEST_FAMILIES.length - 1]!;
}

/** CPU models offered in the form; `-cpu` takes more through the extra arguments. */
export const CPU_MODELS = ['486', 'pentium', 'pentium2', 'pentium3', 'qemu32', 'kvm32', 'qemu64'] as const;
