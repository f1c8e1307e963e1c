/** The drives that plug into an ATA channel: `ide-hd` and `ide-cd`. */
import { BlockBackend, type BlockDeviceOps, type ErrorAction } from '../../backends/block/block-backend.ts';
import { objectCanonicalPath } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import { Device, type DeviceTypeInfo, deviceType } from '../core/device.ts';
import { bootIndex, driveErrorProperties, driveProperties, GRANULARITY_UNSET } from '../core/drive-property.ts';
import { choice, type PropertiesOf, type PropertyTable, properties, str, u16, u32, u64 } from '../core/properties.ts';
import { ataCommands } from './ata-commands.ts';
import { CdDrive } from './atapi.ts';
import { automaticTranslation, guessGeometry, type Translation } from './geometry.ts';
import { type IdeBus, ideBusOf } from './ide-bus.ts';
import type { Geometry, IdeUnit } from './ide-unit.ts';
import { SECTOR } from './registers.ts';

/** In the order of their CMOS codes. */
const TRANSLATIONS: readonly Translation[] = ['none', 'lba', 'large', 'rechs'];
const UNIT_UNSET = 0xffff_ffff;
const VERSION = '2.5+';
const IDENTITY_PROPS = properties({
  ...driveProperties,
  ...driveErrorProperties,
  ver: str(),
  wwn: u64(0),
  serial: str(),
  model: str(),
});
const BUS_PROPS = properties({ unit: u32(UNIT_UNSET) });
const DISK_ONLY = properties({
  cyls: u32(0),
  heads: u32(0),
  secs: u32(0),
  lcyls: u32(0),
  lheads: u32(0),
  lsecs: u32(0),
  'bios-chs-trans': choice(
    'BiosAtaTranslation',
    ['auto', 'none', 'lba', 'large', 'rechs'],
    'auto',
    'Logical CHS translation algorithm, auto/none/lba/large/rechs',
  ),
  rotation_rate: u16(0),
});
const DISK_PROPS = properties({ ...IDENTITY_PROPS, bootindex: bootIndex, ...DISK_ONLY });
const CD_PROPS = properties({ ...IDENTITY_PROPS, bootindex: bootIndex });

/** What both kinds of drive do when they are plugged in. */
abstract class IdeDevice<P extends typeof CD_PROPS | typeof DISK_PROPS> extends Device<P> {
  unit!: IdeUnit;
  get ideProps(): PropertiesOf<typeof CD_PROPS & typeof BUS_PROPS> {
    return this.props as unknown as PropertiesOf<typeof CD_PROPS & typeof BUS_PROPS>;
  }
  get bus(): IdeBus {
    return ideBusOf(this);
  }

  protected plug(backend: BlockBackend, kind: 'disk' | 'cd', defaultModel: string, rotationRate: number): IdeUnit {
    const { ideProps: props, bus } = this;
    const unit = bus.place(props.unit);
    props.unit = unit.index;
    if (props.logical_block_size === 0) props.logical_block_size = SECTOR;
    if (props.physical_block_size === 0) props.physical_block_size = SECTOR;
    if (props.logical_block_size > props.physical_block_size)
      throw new UserError('logical_block_size > physical_block_size not supported');
    if (props.logical_block_size !== SECTOR) throw new UserError('logical_block_size must be 512 for IDE');
    if (props.min_io_size % props.logical_block_size !== 0)
      throw new UserError('min_io_size must be a multiple of logical_block_size');
    if (props.opt_io_size % props.logical_block_size !== 0)
      throw new UserError('opt_io_size must be a multiple of logical_block_size');
    if (props.discard_granularity === GRANULARITY_UNSET) props.discard_granularity = props.logical_block_size;
    props.ver ??= VERSION;
    props.serial ??= `QM${String(bus.number * 2 + unit.index + 1).padStart(5, '0')}`;
    backend.attach(this.blockOps());
    const actionOf = (value: string, fallback: ErrorAction): ErrorAction =>
      value === 'auto' ? fallback : (value as ErrorAction);
    backend.readError = actionOf(props.rerror, backend.readError);
    backend.writeError = actionOf(props.werror, backend.writeError);
    backend.isIoStatusEnabled = true;
    if (props['write-cache'] !== 'auto') backend.isWriteThrough = props['write-cache'] === 'off';
    unit.backend = backend;
    unit.kind = kind;
    unit.isWriteCacheOn = !backend.isWriteThrough;
    unit.identity = {
      serial: props.serial,
      model: props.model || defaultModel,
      version: props.ver,
      wwn: BigInt(props.wwn),
      rotationRate,
      physicalExponent: Math.log2(props.physical_block_size / props.logical_block_size),
      canDiscard: false,
    };
    this.unit = unit;
    return unit;
  }
  override unrealize(): void {
    this.unplug();
  }
  override unparentHook(): void {
    this.unplug();
  }
  private unplug(): void {
    const { unit } = this;
    const { drive } = this.ideProps;
    if (drive?.owner === this) drive.owner = null;
    if (!unit || unit.kind === 'none') return;
    unit.stopTransfers();
    unit.backend?.detach();
    unit.backend = null;
    unit.commands = null;
    unit.kind = 'none';
  }
  protected abstract blockOps(): BlockDeviceOps;
  protected get qdevNames(): Pick<BlockDeviceOps, 'qdevId' | 'qomPath'> {
    const device = this;
    return {
      get qdevId() {
        return device.id ?? '';
      },
      get qomPath() {
        return objectCanonicalPath(device);
      },
    };
  }
}

export class IdeDisk extends IdeDevice<typeof DISK_PROPS> {
  override realize(): void {
    const { props } = this;
    const backend = props.drive;
    if (!backend) throw new UserError('No drive specified');
    if (!backend.isInserted) throw new UserError('Device needs media, but drive is empty');
    if (backend.isReadonly) throw new UserError('Block node is read-only');
    this.chooseGeometry(backend);
    const unit = this.plug(backend, 'disk', 'QEMU HARDDISK', props.rotation_rate);
    unit.geometry = { cylinders: props.cyls, heads: props.heads, sectors: props.secs };
    unit.commands = ataCommands;
    unit.reset();
  }
  /** What CMOS tells the BIOS of this disk. */
  biosGeometry(): Geometry & { readonly translation: number } {
    const { cyls, heads, secs, lcyls, lheads, lsecs } = this.props;
    const translation = TRANSLATIONS.indexOf(this.props['bios-chs-trans']);
    const isLogical = lcyls !== 0 || lheads !== 0 || lsecs !== 0;
    const [cylinders, headCount, sectors] = isLogical ? [lcyls, lheads, lsecs] : [cyls, heads, secs];
    return { cylinders, heads: headCount, sectors, translation: Math.max(0, translation) };
  }
  private chooseGeometry(backend: BlockBackend): void {
    const { props } = this;
    if (props.cyls === 0 && props.heads === 0 && props.secs === 0) {
      const { geometry, translation } = guessGeometry(Math.floor(backend.size / SECTOR), backend.node!.head);
      Object.assign(props, { cyls: geometry.cylinders, heads: geometry.heads, secs: geometry.sectors });
      if (props['bios-chs-trans'] === 'auto') props['bios-chs-trans'] = translation;
    }
    if (props.cyls < 1 || props.cyls > 65535) throw new UserError('cyls must be between 1 and 65535');
    if (props.heads < 1 || props.heads > 16) throw new UserError('heads must be between 1 and 16');
    if (props.secs < 1 || props.secs > 255) throw new UserError('secs must be between 1 and 255');
    if (props['bios-chs-trans'] === 'auto')
      props['bios-chs-trans'] = automaticTranslation({
        cylinders: props.cyls,
        heads: props.heads,
        sectors: props.secs,
      });
  }
  protected override blockOps(): BlockDeviceOps {
    return Object.defineProperties(
      { isRemovable: false },
      Object.getOwnPropertyDescriptors(this.qdevNames),
    ) as BlockDeviceOps;
  }
}

export class IdeCd extends IdeDevice<typeof CD_PROPS> {
  drive!: CdDrive;
  override realize(): void {
    const { props } = this;
    const backend = props.drive ?? this.emptyDrive();
    const unit = this.plug(backend, 'cd', 'QEMU DVD-ROM', 0);
    this.drive = new CdDrive(unit);
    unit.commands = this.drive;
    unit.reset();
  }
  private emptyDrive(): BlockBackend {
    const made = this.env.newEmptyDrive?.('cdrom');
    return made instanceof BlockBackend ? made : BlockBackend.empty();
  }
  protected override blockOps(): BlockDeviceOps {
    const ops: Omit<BlockDeviceOps, 'qdevId' | 'qomPath'> = {
      isRemovable: true,
      isTrayOpen: () => this.drive.isTrayOpen,
      isMediumLocked: () => this.drive.isTrayLocked,
      requestEject: (isForced) => this.drive.requestEject(isForced),
      mediumChanged: (isInserted) => this.drive.mediumChanged(isInserted),
    };
    return Object.defineProperties(ops, Object.getOwnPropertyDescriptors(this.qdevNames)) as BlockDeviceOps;
  }
  override reset(): void {
    super.reset();
    this.drive.reset();
  }
}

/** The drive kinds share a parent type, which has the property `unit`. */
const ideDeviceType = deviceType({
  name: 'ide-device',
  abstract: true,
  category: 'storage',
  busType: 'IDE',
  class: Device as new () => Device,
  properties: BUS_PROPS,
});
const drive = (info: DeviceTypeInfo & { properties: PropertyTable }) => deviceType({ parent: 'ide-device', ...info });
export const ideHdType = drive({
  name: 'ide-hd',
  description: 'virtual IDE disk',
  class: IdeDisk,
  properties: DISK_PROPS,
});
export const ideCdType = drive({
  name: 'ide-cd',
  description: 'virtual IDE CD-ROM',
  class: IdeCd,
  properties: CD_PROPS,
});
export const ideDeviceTypes = [ideDeviceType, ideHdType, ideCdType];
