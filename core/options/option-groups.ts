/** The groups of options and the keys each knows: parsing, `-GROUP help` and query-command-line-options read these. */

import type { OptDesc, OptsGroup, OptType } from './qemu-opts.ts';

/** Keys written as `name:type`, all of them without a note. */
function keys(type: OptType, names: string): OptDesc[] {
  return names.split(' ').map((name) => ({ name, type }));
}

const THROTTLE = keys(
  'number',
  ['iops', 'bps']
    .flatMap((unit) => ['total', 'read', 'write'].map((what) => `throttling.${unit}-${what}`))
    .flatMap((name) => [name, `${name}-max`, `${name}-max-length`])
    .concat('throttling.iops-size')
    .join(' '),
);

/** Keys of -drive that the option layer itself reads; the rest goes to the block driver. */
export const DRIVE_DESC: readonly OptDesc[] = [
  { name: 'node-name', type: 'string', help: 'node name of the block device tree' },
  { name: 'driver', type: 'string', help: 'block driver to use' },
  { name: 'format', type: 'string', help: 'disk format (raw, ...)' },
  { name: 'cache.direct', type: 'bool', help: 'bypass the host page cache' },
  { name: 'cache.no-flush', type: 'bool', help: 'ignore flush requests' },
  { name: 'cache.writeback', type: 'bool', help: 'write cache as the guest sees it' },
  { name: 'auto-read-only', type: 'bool', help: 'fall back to read-only when the image cannot be written' },
  { name: 'discard', type: 'string', help: 'discard operation (ignore/off, unmap/on)' },
  { name: 'force-share', type: 'bool', help: 'take no locks on the image' },
  { name: 'snapshot', type: 'bool', help: 'write to a temporary overlay' },
  { name: 'aio', type: 'string', help: 'host asynchronous I/O (threads, native, io_uring)' },
  { name: 'detect-zeroes', type: 'string', help: 'turn writes of zeroes into zero writes' },
  { name: 'copy-on-read', type: 'bool', help: 'copy what is read from the backing file into the image' },
  { name: 'bus', type: 'number', help: 'bus number' },
  { name: 'unit', type: 'number', help: 'unit number (the LUN for SCSI)' },
  { name: 'index', type: 'number', help: 'bus and unit as one number' },
  { name: 'media', type: 'string', help: 'media type (disk, cdrom)' },
  { name: 'if', type: 'string', help: 'interface (ide, scsi, sd, mtd, floppy, pflash, virtio, none)' },
  { name: 'file', type: 'string', help: 'file name' },
  { name: 'read-only', type: 'bool', help: 'open the image read-only' },
  { name: 'rerror', type: 'string', help: 'what a failed read does' },
  { name: 'werror', type: 'string', help: 'what a failed write does' },
  ...THROTTLE,
  ...keys('string', 'throttling.group'),
];

export const GROUPS = {
  /** Any key is taken at first: the block driver has the last word. */
  drive: { name: 'drive', desc: [] },
  device: { name: 'device', impliedKey: 'driver', desc: [] },
  accel: { name: 'accel', impliedKey: 'accel', desc: [] },
  netdev: { name: 'netdev', impliedKey: 'type', desc: [] },
  global: { name: 'global', desc: keys('string', 'driver property value') },
  name: {
    name: 'name',
    impliedKey: 'guest',
    mergeLists: true,
    desc: [
      { name: 'guest', type: 'string', help: 'name of the guest: shown in titles and over QMP' },
      { name: 'process', type: 'string', help: 'name of the process' },
      { name: 'debug-threads', type: 'bool', help: 'give every thread a name of its own' },
    ],
  },
  memory: {
    name: 'memory',
    impliedKey: 'size',
    mergeLists: true,
    desc: [
      { name: 'size', type: 'size' },
      { name: 'slots', type: 'number' },
      { name: 'maxmem', type: 'size' },
    ],
  },
  'smp-opts': {
    name: 'smp-opts',
    impliedKey: 'cpus',
    mergeLists: true,
    desc: keys('number', 'cpus sockets dies clusters cores threads maxcpus'),
  },
  'boot-opts': {
    name: 'boot-opts',
    impliedKey: 'order',
    mergeLists: true,
    desc: [
      ...keys('string', 'order once'),
      ...keys('bool', 'menu'),
      ...keys('string', 'splash'),
      ...keys('number', 'splash-time reboot-timeout'),
      ...keys('bool', 'strict'),
    ],
  },
  /** Which keys there are depends on the type. */
  smbios: { name: 'smbios', desc: [] },
  rtc: { name: 'rtc', mergeLists: true, desc: keys('string', 'base clock driftfix') },
  action: { name: 'action', mergeLists: true, desc: keys('string', 'reboot shutdown panic watchdog') },
  trace: { name: 'trace', impliedKey: 'enable', desc: keys('string', 'enable events file') },
  mon: {
    name: 'mon',
    impliedKey: 'chardev',
    desc: [...keys('string', 'mode chardev'), ...keys('bool', 'pretty')],
  },
  chardev: {
    name: 'chardev',
    impliedKey: 'backend',
    desc: [
      ...keys('string', 'backend path host port fd localaddr localport'),
      ...keys('number', 'to'),
      ...keys('bool', 'ipv4 ipv6 wait server delay nodelay'),
      ...keys('number', 'reconnect'),
      ...keys('bool', 'telnet tn3270'),
      ...keys('string', 'tls-creds tls-authz'),
      ...keys('bool', 'websocket'),
      ...keys('number', 'width height cols rows'),
      ...keys('bool', 'mux signal'),
      ...keys('string', 'name'),
      ...keys('number', 'debug'),
      ...keys('size', 'size'),
      ...keys('string', 'chardev'),
      ...keys('bool', 'append'),
      ...keys('string', 'logfile'),
      ...keys('bool', 'logappend mouse clipboard'),
      { name: 'tight', type: 'bool', default: 'on' },
      ...keys('bool', 'abstract'),
    ],
  },
  vnc: {
    name: 'vnc',
    impliedKey: 'vnc',
    desc: [
      ...keys('string', 'vnc websocket tls-creds share display'),
      ...keys('number', 'head connections to'),
      ...keys('bool', 'ipv4 ipv6 password'),
      ...keys('string', 'password-secret'),
      ...keys('bool', 'reverse lock-key-sync'),
      ...keys('number', 'key-delay-ms'),
      ...keys('bool', 'sasl'),
      ...keys('string', 'tls-authz sasl-authz'),
      ...keys('bool', 'lossy non-adaptive'),
      ...keys('string', 'audiodev'),
      ...keys('bool', 'power-control'),
    ],
  },
} as const satisfies Record<string, OptsGroup>;

export type GroupName = keyof typeof GROUPS;

/** Groups that QEMU has and we do not yet: named in a config file they are refused rather than unknown. */
export const GROUPS_NOT_YET: ReadonlySet<string> = new Set(
  'spice iscsi sandbox virtfs fsdev acpi fw_cfg icount numa msg overcommit tpmdev object add-fd option-rom plugin net nic netdev audiodev semihosting-config'.split(
    ' ',
  ),
);
