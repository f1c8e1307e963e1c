/** A manager made of memory for work on looks: `vite dev` with `?fake`. Never part of a build. */
import type {
  ApiCallArguments,
  ApiClient,
  ApiEventName,
  ApiEvents,
  ApiMethod,
  ApiResult,
  ByteChannel,
  ChannelKind,
  CommandLine,
  GuestFamily,
  LogEntry,
  MachineDefinition,
  MachineDetails,
  MachineState,
  Settings,
} from '../../electron/api/contract.ts';
import { apiError, Listeners } from '../api/wire.ts';

/** What any of the methods may be given. */
interface Loose {
  id: string;
  name: string;
  guest: string;
  iso?: string;
  path: string;
  fileName: string;
  definition: MachineDefinition;
  settings: Partial<Settings>;
}

const GIB = 1024 ** 3;
const now = Date.now();

const family = (
  id: string,
  label: string,
  group: GuestFamily['group'],
  memoryMiB: number,
  diskMiB: number,
): GuestFamily => ({
  id,
  label,
  group,
  bits: 32,
  icon: 'generic',
  memoryMiB,
  minimumMemoryMiB: 8,
  diskMiB,
  cpuModel: 'qemu32',
  clock: 'utc',
});
const FAMILIES = [
  family('boot-tool', 'Boot and rescue tool', 'tools', 128, 0),
  family('freedos', 'FreeDOS', 'dos', 32, 500),
  family('windows-9x', 'Windows 95, 98, ME', 'windows', 128, 2048),
  family('debian', 'Debian (64-bit)', 'linux', 1024, 20480),
  family('netbsd', 'NetBSD', 'bsd', 512, 10240),
  family('other', 'Other', 'other', 256, 2048),
];

function definition(name: string, guest: string, part: Partial<MachineDefinition> = {}): MachineDefinition {
  return {
    version: 1,
    id: crypto.randomUUID(),
    name,
    notes: '',
    guest,
    machineType: 'pc',
    accelerator: 'tcg',
    cpu: { model: 'qemu32', count: 1 },
    memoryMiB: FAMILIES.find((candidate) => candidate.id === guest)?.memoryMiB ?? 256,
    clock: 'utc',
    boot: { order: ['cdrom', 'disk'], menu: true },
    display: { vga: 'std' },
    storage: [
      {
        kind: 'disk',
        id: 'ide0-0',
        bus: 0,
        unit: 0,
        path: `/home/me/.local/share/terrarium/machines/${name}.img`,
        format: 'raw',
      },
      { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: '/home/me/Downloads/grub-rescue-cdrom.iso' },
    ],
    serialPorts: [{ kind: 'terminal' }],
    power: { onGuestReboot: 'reset', onGuestShutdown: 'powerOff' },
    extraArguments: [],
    ...part,
  };
}

function commandLine(machine: MachineDefinition): CommandLine {
  const parts = [
    { origin: 'name', words: ['-name', `guest=${machine.name}`] },
    { origin: 'id', words: ['-uuid', machine.id] },
    { origin: 'machineType', words: ['-machine', 'pc'] },
    { origin: 'accelerator', words: ['-accel', 'tcg'] },
    { origin: 'cpu', words: ['-cpu', machine.cpu.model] },
    { origin: 'memoryMiB', words: ['-m', `${machine.memoryMiB}M`] },
    { origin: 'cpu.count', words: ['-smp', String(machine.cpu.count)] },
    ...machine.storage.map((device, index) => ({
      origin: `storage.${index}`,
      words: [
        '-drive',
        `${device.path ? `file=${device.path},` : ''}if=none,${device.kind === 'cdrom' ? 'media=cdrom,readonly=on' : 'format=raw'},id=drive-${device.id}`,
        '-device',
        `${device.kind === 'cdrom' ? 'ide-cd' : 'ide-hd'},bus=ide.${device.bus},unit=${device.unit},drive=drive-${device.id},id=${device.id}`,
      ],
    })),
    { origin: 'display', words: ['-vga', machine.display.vga] },
    { origin: 'extraArguments', words: machine.extraArguments },
  ];
  return {
    program: 'terrarium-x86_64',
    parts,
    text: ['terrarium-x86_64', ...parts.flatMap((part) => part.words)].join(' '),
  };
}

function details(machine: MachineDefinition, state: MachineState): MachineDetails {
  const alive = state !== 'off' && state !== 'crashed';
  return {
    summary: {
      id: machine.id,
      name: machine.name,
      guest: machine.guest,
      machineType: 'pc',
      memoryMiB: machine.memoryMiB,
      cpuCount: 1,
      state,
      pauseReason: state === 'paused' ? 'user' : null,
      failure:
        state === 'crashed'
          ? {
              kind: 'start-failed',
              message: 'The emulator refused the machine.',
              engineOutput:
                "terrarium-x86_64: -drive file=/tmp/none.iso,if=none: Could not open '/tmp/none.iso': No such file or directory",
              exitCode: 1,
              signal: null,
              at: now,
            }
          : null,
      thumbnailVersion: alive ? 1 : 0,
      createdAt: now,
      updatedAt: now,
      lastStartedAt: state === 'off' ? null : now - 4_000_000,
    },
    definition: machine,
    commandLine: commandLine(machine),
    runtime: alive
      ? {
          pid: 4711,
          startedAt: now - 754_000,
          commandLine: commandLine(machine),
          drives: machine.storage.map((device) => ({
            deviceId: device.id,
            path: device.path,
            trayOpen: false,
            locked: false,
          })),
          channels: { console: true, serial: [0], monitor: true },
          pendingChanges: [],
        }
      : null,
    issues: [],
  };
}

function thumbnail(): string {
  const canvas = document.createElement('canvas');
  canvas.width = 720;
  canvas.height = 400;
  const paint = canvas.getContext('2d')!;
  paint.fillStyle = '#000';
  paint.fillRect(0, 0, 720, 400);
  paint.fillStyle = '#aaa';
  paint.font = '16px monospace';
  paint.fillText('GNU GRUB  version 2.06-13+deb12u1', 200, 40);
  paint.strokeStyle = '#aaa';
  paint.strokeRect(24, 60, 672, 220);
  paint.fillRect(30, 70, 660, 20);
  paint.fillStyle = '#000';
  paint.fillText('*GNU GRUB rescue', 40, 86);
  return canvas.toDataURL('image/png').split(',')[1]!;
}

export class FakeClient implements ApiClient {
  private readonly listeners = new Listeners();
  private readonly all = new Map<string, MachineDetails>();
  private settings: Settings = {
    language: new URLSearchParams(location.search).has('zh') ? 'zh-CN' : 'system',
    theme: 'system',
    expertMode: false,
    onQuit: 'powerOff',
    consoleScaling: 'fit',
    hostKey: 'ControlRight',
    thumbnails: true,
    lastFolder: null,
  };

  constructor() {
    if (new URLSearchParams(location.search).has('empty')) return;
    this.add(details(definition('Debian 12', 'debian'), 'off'));
    this.add(details(definition('GRUB rescue', 'boot-tool'), 'running'));
    this.add(details(definition('FreeDOS 1.3', 'freedos'), 'paused'));
    this.add(details(definition('NetBSD 10', 'netbsd'), 'crashed'));
    this.add(details(definition('Windows 98', 'windows-9x'), 'off'));
  }

  private add(machine: MachineDetails): MachineDetails {
    this.all.set(machine.summary.id, machine);
    this.listeners.event({ event: 'machines.changed', data: { summary: machine.summary, detailsChanged: true } });
    return machine;
  }

  private find(id: string): MachineDetails {
    const found = this.all.get(id);
    if (!found) throw apiError({ code: 'not-found', message: 'There is no such machine' });
    return found;
  }

  async call<M extends ApiMethod>(method: M, ...[params]: ApiCallArguments<M>): Promise<ApiResult<M>> {
    await new Promise((resolve) => setTimeout(resolve, 60));
    return this.answer(method, (params ?? {}) as unknown as Loose) as ApiResult<M>;
  }

  private answer(method: ApiMethod, params: Loose): unknown {
    const id = params.id;
    const become = (state: MachineState) => this.add(details(this.find(id).definition, state));
    switch (method) {
      case 'app.info':
        return {
          name: 'Terrarium',
          version: '0.1.0',
          shell: 'web',
          platform: 'linux',
          dataDir: '/home/me/.local/share/terrarium',
          mediaDir: '/home/me/.local/share/terrarium/media',
          engine: { path: '/opt/terrarium/terrarium-x86_64', found: true, problem: null },
          limits: {
            memoryMiB: 16384,
            freeMemoryMiB: 1500,
            maximumMachineMemoryMiB: 3583,
            cpuCount: 8,
            maximumMachineCpus: 1,
            freeDiskBytes: 120 * GIB,
            largestDiskBytes: 2048 * GIB,
          },
          guestFamilies: FAMILIES,
          cpuModels: ['486', 'pentium', 'qemu32', 'qemu64'],
          capabilities: { nativeFileDialog: false, upload: true },
        };
      case 'settings.get':
        return this.settings;
      case 'settings.update':
        this.settings = { ...this.settings, ...params.settings };
        return this.settings;
      case 'machines.list':
        return [...this.all.values()].map((machine) => machine.summary);
      case 'machines.get':
        return this.find(id);
      case 'machines.propose': {
        const guest = params.guest;
        const iso = params.iso ?? null;
        const proposed = definition(params.name ?? 'New machine', guest, {
          storage: [{ kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: iso }],
        });
        return {
          definition: proposed,
          diskBytes: (FAMILIES.find((candidate) => candidate.id === guest)?.diskMiB ?? 0) * 1024 * 1024,
        };
      }
      case 'machines.create':
        return this.add(details(params.definition, 'off'));
      case 'machines.update':
        return this.add(details(params.definition, this.find(params.definition.id).summary.state));
      case 'machines.rename':
        return this.add(details({ ...this.find(id).definition, name: params.name }, this.find(id).summary.state));
      case 'machines.deletionPlan':
        return {
          folder: '/home/me',
          files: this.find(id).definition.storage.flatMap((device) =>
            device.path
              ? [
                  {
                    path: device.path,
                    sizeBytes: 20 * GIB,
                    allocatedBytes: 1.3 * GIB,
                    owned: device.kind === 'disk',
                    usedBy: [],
                  },
                ]
              : [],
          ),
        };
      case 'machines.delete':
        this.all.delete(id);
        this.listeners.event({ event: 'machines.removed', data: { id } });
        return { deleted: [] };
      case 'machines.preview':
        return { commandLine: commandLine(params.definition), issues: [] };
      case 'machines.start':
      case 'machines.resume':
      case 'machines.reset':
        return become('running');
      case 'machines.pause':
        return become('paused').summary;
      case 'machines.shutdown':
      case 'machines.powerOff':
      case 'machines.dismissFailure':
        return become('off').summary;
      case 'machines.watchActivity': {
        const [first, second] = this.find(id).definition.storage;
        const drives = [
          { deviceId: first?.id ?? '', readBytesPerSecond: 0, writtenBytesPerSecond: 0 },
          { deviceId: second?.id ?? '', readBytesPerSecond: 1_300_000, writtenBytesPerSecond: 0 },
        ];
        const activity = {
          drives,
          guestMips: 123.4,
          compiled: { regions: 1234, codeBytes: 37_000_000, invalidated: 56 },
          hostCpuPercent: 97,
          hostMemoryBytes: 212_000_000,
        };
        this.listeners.event({ event: 'machines.activity', data: { id, activity } });
        return { forMs: 5000 };
      }
      case 'machines.thumbnail':
        return { pngBase64: thumbnail(), version: 1 };
      case 'machines.log':
        return {
          hasOlder: false,
          entries: [
            'Starting terrarium-x86_64 (pid 4711)',
            'SeaBIOS (version 1.16.2-debian-1.16.2-1)',
            'RESUME',
            'warning: guest asked for a device that is not there',
            'Could not open the disc',
          ].map(
            (text, index): LogEntry => ({
              sequence: index,
              at: now + index * 900,
              source: index === 0 ? 'manager' : index === 2 ? 'event' : 'engine',
              level: index === 3 ? 'warning' : index === 4 ? 'error' : 'info',
              text,
            }),
          ),
        };
      case 'media.list':
        return ['grub-rescue-cdrom.iso', 'debian-12.5.0-amd64-netinst.iso'].map((fileName) => ({
          path: `/home/me/Downloads/${fileName}`,
          kind: 'iso',
          fileName,
          sizeBytes: 5e6,
          allocatedBytes: 5e6,
          owned: false,
          usedBy: [],
          addedAt: now,
          lastUsedAt: now,
        }));
      case 'media.inspect':
        return {
          path: params.path,
          kind: 'iso',
          sizeBytes: 5_079_040,
          label: 'ISOIMAGE',
          bootable: { bios: true, efi: false },
          guest: 'boot-tool',
          evidence: ['El Torito boot image', 'file /boot/grub/i386-pc/core.img'],
          bits: 32,
          suggestedName: 'GRUB rescue disc',
          warnings: [],
        };
      case 'files.browse':
        return {
          path: '/home/me/Downloads',
          parent: '/home/me',
          places: [
            { label: 'home', path: '/home/me' },
            { label: 'downloads', path: '/home/me/Downloads' },
            { label: 'media', path: '/home/me/.local/share/terrarium/media' },
            { label: 'root', path: '/' },
            { label: 'mounted', path: '/media/USB stick' },
          ],
          entries: [
            ['Old discs', 'folder', 0],
            ['debian-12.5.0-amd64-netinst.iso', 'file', 659_554_304],
            ['grub-rescue-cdrom.iso', 'file', 5_079_040],
          ].map(([name, kind, sizeBytes]) => ({
            name,
            path: `/home/me/Downloads/${name}`,
            kind,
            sizeBytes,
            modifiedAt: now - 1e8,
          })),
          truncated: false,
        };
      case 'media.createDisk':
        return { path: `/home/me/.local/share/terrarium/disks/${params.fileName}` };
      case 'machines.typeText':
        return { notTyped: [] };
      default:
        throw apiError({
          code: 'unsupported',
          message: `The stand-in does not know ${method}`,
          engineOutput: 'terrarium-x86_64: quoted words of the engine',
        });
    }
  }

  on<E extends ApiEventName>(event: E, listener: (data: ApiEvents[E]) => void): () => void {
    return this.listeners.on(event, listener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.listeners.onConnection(listener);
  }

  /** A serial line that says something once; a console that never answers. */
  openChannel(kind: ChannelKind): ByteChannel {
    const channel: ByteChannel = {
      binaryType: 'arraybuffer',
      readyState: 1,
      protocol: '',
      send: (data) =>
        kind !== 'console' && channel.onmessage?.({ data: ArrayBuffer.isView(data) ? data.buffer : data }),
      close: () => channel.onclose?.({ code: 1000, reason: '' }),
      onopen: null,
      onmessage: null,
      onclose: null,
      onerror: null,
    };
    setTimeout(() => {
      channel.onopen?.(undefined as never);
      const text =
        '\x1b[1;32mGNU GRUB\x1b[0m  version 2.06\r\n\r\nMinimal BASH-like line editing is supported.\r\n\r\ngrub> ';
      if (kind !== 'console') channel.onmessage?.({ data: new TextEncoder().encode(text).buffer });
    }, 100);
    return channel;
  }
}
