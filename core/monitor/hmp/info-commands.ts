/** `info`: what the machine is and does, as text. */

import { flatViewText, mtreeText } from '../../memory/mtree.ts';
import { qomTreeText } from '../../qom/tree-text.ts';
import { traceEvents } from '../../util/trace.ts';
import { formatSize, hex } from '../../util/units.ts';
import { matchesPattern } from '../commands/misc.ts';
import type {
  BlockBackendInfo,
  BlockStatistics,
  InfoText,
  PciDeviceInfo,
  PciRegionInfo,
  VncClient,
} from '../context.ts';
import { jitText, NO_JIT } from '../jit-text.ts';
import { flag, optionalDrive, optionalExpression, optionalWord } from './arguments.ts';
import type { HmpCommand, HmpScope } from './hmp-command.ts';

/** An `info` whose text a part of the machine supplies. */
function supplied(name: InfoText, help: string): HmpCommand {
  return {
    name,
    parameters: [],
    help,
    isAvailable: (context) => context.infoTexts.has(name),
    run: ({ context, print }) => print(context.infoTexts.get(name)!('')),
  };
}

export const INFO_COMMANDS: readonly HmpCommand[] = [
  {
    name: 'version',
    parameters: [],
    help: 'version',
    run: ({ context: { identity }, print }) => {
      const { major, minor, micro } = identity.version;
      print(`${major}.${minor}.${micro}${identity.packageName}\n`);
    },
  },
  {
    name: 'status',
    parameters: [],
    help: 'whether the guest runs',
    run: ({ context: { run }, print }) => {
      const detail = run.isRunning || run.state === 'paused' ? '' : ` (${run.state})`;
      print(`VM status: ${run.isRunning ? 'running' : 'paused'}${detail}\n`);
    },
  },
  {
    name: 'name',
    parameters: [],
    help: 'name of the guest',
    run: ({ context: { identity }, print }) => {
      if (identity.name !== undefined) print(`${identity.name}\n`);
    },
  },
  {
    name: 'uuid',
    parameters: [],
    help: 'UUID of the guest',
    run: ({ context: { identity }, print }) => print(`${identity.uuid ?? '00000000-0000-0000-0000-000000000000'}\n`),
  },
  {
    name: 'cpus',
    parameters: [],
    help: 'processors and their host threads',
    run: ({ context, cpu, print }) => {
      for (const { index, hostThread } of context.guest.cpus) {
        print(`${index === cpu ? '*' : ' '} CPU #${index}: thread_id=${hostThread}\n`);
      }
    },
  },
  {
    name: 'hotpluggable-cpus',
    parameters: [],
    help: 'places for processors',
    run: ({ context, print }) => {
      print('Hotpluggable CPUs:\n');
      for (const cpu of context.guest.cpus) {
        print(`  type: "${cpu.typeName}"\n  vcpus_count: "1"\n  qom_path: "${cpu.qomPath}"\n`);
        print(`  CPUInstance Properties:\n    socket-id: "${cpu.socketId}"\n`);
        print(`    core-id: "${cpu.coreId}"\n    thread-id: "${cpu.threadId}"\n`);
      }
    },
  },
  {
    name: 'registers',
    parameters: [flag('a'), optionalExpression('vcpu')],
    help: 'registers of the CPU (-a: of all CPUs)',
    run: showRegisters,
  },
  {
    name: 'mtree',
    parameters: [flag('f'), flag('d'), flag('o'), flag('D')],
    help: 'tree of memory regions (-f: what the processor sees of it; -D: disabled regions too)',
    run: ({ args, print }) => print(args.flag('f') ? flatViewText() : mtreeText(args.flag('D'))),
  },
  {
    name: 'qom-tree',
    parameters: [optionalWord('path')],
    help: 'tree of objects',
    run: ({ args, print }) => print(qomTreeText(args.optionalText('path'))),
  },
  { name: 'pci', parameters: [], help: 'PCI devices', run: showPci },
  {
    name: 'block',
    parameters: [flag('n'), flag('v'), optionalDrive('device')],
    help: 'drives and their media (-n: named nodes; -v: details)',
    run: showBlock,
  },
  {
    name: 'blockstats',
    parameters: [],
    help: 'what drives have read and written',
    run: ({ context, print }) => {
      for (const statistics of context.block.statistics()) print(statisticsLine(statistics));
    },
  },
  { name: 'block-jobs', parameters: [], help: 'running block jobs', run: ({ print }) => print('No active jobs\n') },
  {
    name: 'chardev',
    parameters: [],
    help: 'character devices',
    run: ({ context, print }) => {
      for (const { label, filename } of context.characters.list()) print(`${label}: filename=${filename}\n`);
    },
  },
  { name: 'mice', parameters: [], help: 'pointers; the one with * gets events', run: showMice },
  { name: 'vnc', parameters: [], help: 'VNC servers and their clients', run: showVnc },
  {
    name: 'kvm',
    parameters: [],
    help: 'whether KVM is used',
    run: ({ print }) => print('kvm support: not compiled\n'),
  },
  {
    name: 'memory_size_summary',
    parameters: [],
    help: 'size of the memory in bytes',
    run: ({ context, print }) => print(`base memory: ${context.guest.memoryBytes}\nplugged memory: 0\n`),
  },
  { name: 'memory-devices', parameters: [], help: 'memory devices', run: () => {} },
  { name: 'iothreads', parameters: [], help: 'I/O threads', run: () => {} },
  {
    name: 'history',
    parameters: [],
    help: 'lines typed so far',
    run: ({ history, print }) => {
      for (const [index, line] of history.entries()) print(`${index}: '${line}'\n`);
    },
  },
  {
    name: 'trace-events',
    parameters: [optionalWord('name'), optionalExpression('vcpu')],
    help: 'trace events and whether they are on',
    run: ({ args, print }) => {
      const pattern = args.optionalText('name') ?? '*';
      for (const event of traceEvents()) {
        if (matchesPattern(event.name, pattern)) print(`${event.name} : state ${event.isEnabled ? 1 : 0}\n`);
      }
    },
  },
  supplied('qtree', 'buses and the devices on them'),
  supplied('pic', 'interrupt controllers'),
  supplied('irq', 'interrupts counted'),
  supplied('lapic', 'the local APIC'),
  supplied('roms', 'ROM images in memory'),
  supplied('ramblock', 'blocks of RAM'),
  supplied('tlb', 'virtual pages and what they map to'),
  supplied('mem', 'mapped virtual memory'),
  supplied('network', 'network devices'),
  supplied('usb', 'USB devices'),
  {
    name: 'jit',
    parameters: [],
    help: 'the translator',
    run: ({ context, print }) => {
      const statistics = context.jitStatistics();
      print(statistics ? jitText(statistics) : `${NO_JIT}\n`);
    },
  },
  supplied('numa', 'NUMA nodes'),
];

function showRegisters({ context, args, cpu, print }: HmpScope): void {
  const chosen = args.flag('a')
    ? context.guest.cpus.map(({ index }) => index)
    : [args.has('vcpu') ? Number(args.number('vcpu')) : cpu];
  for (const index of chosen) {
    if (!context.guest.cpus.some((each) => each.index === index)) {
      print(`CPU#${index} not available\n`);
      return;
    }
    print(`\nCPU#${index}\n${context.guest.registersText(index)}`);
  }
}

function showMice({ context, print }: HmpScope): void {
  const { mice } = context.input;
  if (mice.length === 0) print('No mouse devices connected\n');
  for (const { name, index, absolute, current } of mice) {
    print(`${current ? '*' : ' '} Mouse #${index}: ${name}${absolute ? ' (absolute)' : ''}\n`);
  }
}

function showVnc({ context, print }: HmpScope): void {
  const servers = context.vnc.servers();
  if (servers.length === 0) print('None\n');
  const line = (peer: VncClient, what: string): string =>
    `  ${what}: ${peer.host}:${peer.service} (${peer.family}${peer.isWebSocket ? ' (Websocket)' : ''})\n`;
  for (const server of servers) {
    print(`${server.id}:\n`);
    for (const address of server.servers) {
      print(`${line(address, 'Server')}    Auth: ${server.auth} (Sub: none)\n`);
    }
    for (const client of server.clients) {
      print(`${line(client, 'Client')}    x509_dname: none\n    sasl_username: none\n`);
    }
    if (server.servers.length === 0) print(`  Auth: ${server.auth} (Sub: none)\n`);
  }
}

function showBlock({ context, args, print }: HmpScope): void {
  const wanted = args.optionalText('device');
  const isVerbose = args.flag('v');
  if (args.flag('n')) {
    const nodes = context.block.nodes().filter((node) => wanted === undefined || node.nodeName === wanted);
    print(
      nodes
        .map((node) => {
          const readOnly = node.isReadOnly ? ', read-only' : '';
          return `${node.nodeName}: ${node.file} (${node.driver}${readOnly})\n${cacheLine(node.cache)}`;
        })
        .join('\n'),
    );
    return;
  }
  const backends = context.block.backends().filter(({ device }) => wanted === undefined || device === wanted);
  print(backends.map((backend) => describeBackend(backend, isVerbose)).join('\n'));
}

function describeBackend(backend: BlockBackendInfo, isVerbose: boolean): string {
  const { inserted } = backend;
  const label = backend.device || backend.qdev || '';
  let text = inserted
    ? `${label} (${inserted.nodeName}): ${inserted.file} (${inserted.driver}${inserted.isReadOnly ? ', read-only' : ''})\n`
    : `${label}: [not inserted]\n`;
  if (backend.qdev !== undefined) text += `    Attached to:      ${backend.qdev}\n`;
  if (backend.ioStatus !== undefined && backend.ioStatus !== 'ok')
    text += `    I/O status:       ${backend.ioStatus}\n`;
  if (backend.isRemovable) {
    const tray = backend.isTrayOpen === undefined ? '' : `, tray ${backend.isTrayOpen ? 'open' : 'closed'}`;
    text += `    Removable device: ${backend.isLocked ? '' : 'not '}locked${tray}\n`;
  }
  if (!inserted) return text;
  text += cacheLine(inserted.cache);
  if (inserted.detectZeroes !== 'off') text += `    Detect zeroes:    ${inserted.detectZeroes}\n`;
  if (!isVerbose) return text;
  return (
    `${text}\nImages:\nimage: ${inserted.file}\nfile format: ${inserted.driver}\n` +
    `virtual size: ${formatSize(inserted.virtualSize)} (${inserted.virtualSize} bytes)\n` +
    `disk size: ${formatSize(inserted.actualSize)}\n`
  );
}

function cacheLine(cache: { writeback: boolean; direct: boolean; noFlush: boolean }): string {
  const mode = `${cache.writeback ? 'writeback' : 'writethrough'}${cache.direct ? ', direct' : ''}${cache.noFlush ? ', ignore flushes' : ''}`;
  return `    Cache mode:       ${mode}\n`;
}

function statisticsLine(s: BlockStatistics): string {
  return (
    `${s.device || s.qdev || ''}: rd_bytes=${s.readBytes} wr_bytes=${s.writtenBytes} rd_operations=${s.readOperations} ` +
    `wr_operations=${s.writeOperations} flush_operations=${s.flushOperations} wr_total_time_ns=${s.writeTimeNs} ` +
    `rd_total_time_ns=${s.readTimeNs} flush_total_time_ns=${s.flushTimeNs} rd_merged=0 wr_merged=0 idle_time_ns=0\n`
  );
}

function showPci({ context, print }: HmpScope): void {
  for (const bus of context.guest.pci) for (const device of bus.devices) showPciDevice(device, print);
}

function showPciDevice(device: PciDeviceInfo, print: (text: string) => void): void {
  const number = (value: number, width: number): string => String(value).padStart(width);
  print(`  Bus ${number(device.bus, 2)}, device ${number(device.slot, 3)}, function ${device.function}:\n`);
  const kind = device.classDescription ?? `Class ${hex(device.classCode, 4)}`;
  print(`    ${kind}: PCI device ${hex(device.vendor, 4)}:${hex(device.device, 4)}\n`);
  if (device.subsystem !== undefined && device.subsystemVendor !== undefined) {
    print(`      PCI subsystem ${hex(device.subsystemVendor, 4)}:${hex(device.subsystem, 4)}\n`);
  }
  if (device.irqPin !== 0) print(`      IRQ ${device.irqLine}, pin ${'ABCD'[device.irqPin - 1] ?? '?'}\n`);
  if (device.bridge) showBridge(device.bridge, print);
  for (const region of device.regions) print(regionLine(region));
  print(`      id "${device.qdevId}"\n`);
  for (const child of device.bridge?.devices ?? []) showPciDevice(child, print);
}

function showBridge({ bus }: NonNullable<PciDeviceInfo['bridge']>, print: (text: string) => void): void {
  const range = (base: number, limit: number, digits: number): string =>
    `[0x${hex(base, digits)}, 0x${hex(limit, digits)}]`;
  print(`      BUS ${bus.number}.\n      secondary bus ${bus.secondary}.\n      subordinate bus ${bus.subordinate}.\n`);
  print(`      IO range ${range(bus.ioBase, bus.ioLimit, 4)}\n`);
  print(`      memory range ${range(bus.memoryBase, bus.memoryLimit, 8)}\n`);
  print(`      prefetchable memory range ${range(bus.prefetchBase, bus.prefetchLimit, 8)}\n`);
}

/** An unmapped region stands at all ones, and its end wraps around, as the real program shows it. */
function regionLine({ bar, type, size, address, isPrefetchable, is64Bit }: PciRegionInfo): string {
  const start = BigInt.asUintN(64, BigInt(address));
  const end = BigInt.asUintN(64, start + BigInt(size) - 1n);
  if (type === 'io') return `      BAR${bar}: I/O at 0x${hex(start, 4)} [0x${hex(end, 4)}].\n`;
  const width = `${is64Bit ? 64 : 32} bit ${isPrefetchable ? 'prefetchable ' : ''}memory`;
  return `      BAR${bar}: ${width} at 0x${hex(start, 8)} [0x${hex(end, 8)}].\n`;
}
