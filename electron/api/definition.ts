/** What a machine is, as data: the one thing that wizard, settings page, library and command line share. */
import { z } from 'zod';

/** Raised by one whenever the shape changes; `migrateDefinition` in electron/library brings older ones up. */
export const DEFINITION_VERSION = 1;

/** Limits that hold on every host. Those of this host are in `HostLimits`. */
export const LIMITS = {
  nameLength: 80,
  notesLength: 10_000,
  memoryMiB: { min: 1, max: 3583 },
  cpuCount: { min: 1, max: 16 },
  serialPorts: 4,
  extraArguments: 200,
} as const;

const controlCharacters = /\p{Cc}/u;

/** A path on the host: absolute, free of NUL, otherwise whatever the host's file system accepts. */
export const hostPathSchema = z
  .string()
  .min(1, 'A path is needed')
  .max(4096, 'The path is longer than 4096 characters')
  .refine((path) => !controlCharacters.test(path), 'The path has control characters in it')
  .refine((path) => path.startsWith('/') || /^[A-Za-z]:[\\/]/.test(path), 'The path must be absolute');

export const machineNameSchema = z
  .string()
  .trim()
  .min(1, 'A name is needed')
  .max(LIMITS.nameLength, `At most ${LIMITS.nameLength} characters`)
  .refine((name) => !controlCharacters.test(name), 'The name has control characters in it');

/** A place on the board's IDE controller (PIIX3): channel `bus`, drive `unit`. */
const storageDeviceBase = {
  /** QOM id of the device, unique in the machine: `ide1-0`. The drive is `drive-<id>`. */
  id: z.string().regex(/^[A-Za-z][A-Za-z0-9\-._]{0,63}$/, 'An id begins with a letter; letters, digits, - . _ follow'),
  bus: z.union([z.literal(0), z.literal(1)]),
  unit: z.union([z.literal(0), z.literal(1)]),
};

export const diskDeviceSchema = z.strictObject({
  ...storageDeviceBase,
  kind: z.literal('disk'),
  path: hostPathSchema,
  /** The only format that there is so far. */
  format: z.literal('raw'),
});

export const cdromDeviceSchema = z.strictObject({
  ...storageDeviceBase,
  kind: z.literal('cdrom'),
  /** `null`: the drive is empty. */
  path: hostPathSchema.nullable(),
});

export const storageDeviceSchema = z.discriminatedUnion('kind', [diskDeviceSchema, cdromDeviceSchema]);

export const bootDeviceSchema = z.enum(['cdrom', 'disk']);

export const machineDefinitionSchema = z
  .strictObject({
    version: z.literal(DEFINITION_VERSION),
    /** The machine's identity everywhere: library, run directory, SMBIOS (`-uuid`). */
    id: z.uuid(),
    name: machineNameSchema,
    notes: z.string().max(LIMITS.notesLength).default(''),
    /** Key of a `GuestFamily`; `other` when nobody knows. */
    guest: z.string().min(1).max(64),
    machineType: z.enum(['pc']),
    accelerator: z.enum(['tcg']),
    cpu: z.strictObject({
      /** A name of `-cpu help`, e.g. `qemu32`. */
      model: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/, 'Not the name of a CPU model'),
      count: z.int().min(LIMITS.cpuCount.min).max(LIMITS.cpuCount.max),
    }),
    memoryMiB: z.int().min(LIMITS.memoryMiB.min).max(LIMITS.memoryMiB.max),
    /** What the guest takes the CMOS clock for. */
    clock: z.enum(['utc', 'localtime']),
    boot: z.strictObject({
      order: z
        .array(bootDeviceSchema)
        .max(2)
        .refine((order) => new Set(order).size === order.length, 'A boot device is named twice'),
      /** SeaBIOS offers F12 for a few seconds. */
      menu: z.boolean(),
    }),
    display: z.strictObject({ vga: z.enum(['std', 'none']) }),
    storage: z.array(storageDeviceSchema).max(4),
    /** One entry per COM port, in order; each appears as a terminal in the console. */
    serialPorts: z.array(z.strictObject({ kind: z.enum(['terminal', 'none']) })).max(LIMITS.serialPorts),
    power: z.strictObject({
      /** `-no-reboot`: a reset asked for by the guest ends the machine. */
      onGuestReboot: z.enum(['reset', 'powerOff']),
      /** `-no-shutdown`: a machine that switched itself off stays, stopped, to be looked at. */
      onGuestShutdown: z.enum(['powerOff', 'pause']),
    }),
    /** Words added to the end of the command line as they are. */
    extraArguments: z
      .array(
        z
          .string()
          .max(4096)
          .refine((word) => !word.includes('\0'), 'An argument has a NUL in it'),
      )
      .max(LIMITS.extraArguments),
  })
  .superRefine((machine, context) => {
    const ids = new Set<string>();
    const places = new Set<string>();
    for (const [index, device] of machine.storage.entries()) {
      const place = `${device.bus}:${device.unit}`;
      if (ids.has(device.id)) {
        context.addIssue({
          code: 'custom',
          path: ['storage', index, 'id'],
          message: `Two drives are called ${device.id}`,
        });
      }
      if (places.has(place)) {
        const message = `Two drives want IDE channel ${device.bus}, drive ${device.unit}`;
        context.addIssue({ code: 'custom', path: ['storage', index, 'unit'], message });
      }
      ids.add(device.id);
      places.add(place);
    }
  });

export type MachineDefinition = z.infer<typeof machineDefinitionSchema>;
export type StorageDevice = z.infer<typeof storageDeviceSchema>;
export type DiskDevice = z.infer<typeof diskDeviceSchema>;
export type CdromDevice = z.infer<typeof cdromDeviceSchema>;
export type BootDevice = z.infer<typeof bootDeviceSchema>;
export type MachineId = MachineDefinition['id'];
