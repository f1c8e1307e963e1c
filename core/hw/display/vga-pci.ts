/** QEMU's standard VGA on PCI: `VGA` (legacy ports and memory) and `secondary-vga` (register window only). Data: docs/specs/standard-vga, Bochs VBE. */
import type { DisplayConsole, UiInfo } from '../../backends/display/console.ts';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { struct, vmstate } from '../../vmstate/fields.ts';
import type { Device } from '../core/device.ts';
import { bool, hidden, properties, u32 } from '../core/properties.ts';
import { PciDevice, pciDeviceState, pciDeviceType } from '../pci/pci-device.ts';
import { makeEdid } from './edid.ts';
import { VgaCommon } from './vga-common.ts';
import { mapVgaPorts, vgaMmio } from './vga-ports.ts';
import { VGA_COMMON_STATE } from './vga-registers.ts';

/** A plain QOM property: help shows no default, `info qtree` nothing at all. */
const { helpDefault: _default, ...BIG_ENDIAN } = hidden(bool(false));
const PROPS = properties({
  vgamem_mb: u32(16),
  mmio: bool(true, 'on/off'),
  'qemu-extended-regs': bool(true, 'on/off'),
  edid: bool(true, 'on/off'),
  xres: u32(0),
  yres: u32(0),
  xmax: u32(0),
  ymax: u32(0),
  refresh_rate: u32(0),
  'global-vmstate': bool(false),
  'big-endian-framebuffer': BIG_ENDIAN,
});
const { mmio: _mmio, 'global-vmstate': _global, ...SECONDARY_PROPS } = PROPS;
const STATE = vmstate('vga', 2, { dev: pciDeviceState(), vga: struct(VGA_COMMON_STATE) });

const BAR_VRAM = 0;
const BAR_MMIO = 2;
/** Preferred size when the user names none. */
const DEFAULT_SIZE = { xres: 1280, yres: 800 } as const;

class StandardVga extends PciDevice<typeof PROPS, typeof STATE.fields> {
  vga!: VgaCommon;
  console: DisplayConsole | null = null;
  private edid: Uint8Array | null = null;

  override realize(): void {
    super.realize();
    const { props } = this;
    this.vga = new VgaCommon(this, { vgamemMb: props.vgamem_mb, ramName: 'vga.vram' });
    this.vga.isBigEndianByDefault = props['big-endian-framebuffer'];
    this.vga.reset(this.state.vga);
    if (props.xres === 0) props.xres = DEFAULT_SIZE.xres;
    if (props.yres === 0) props.yres = DEFAULT_SIZE.yres;
    if (props.edid) this.makeEdid(props.xres, props.yres);
    this.registerBar(BAR_VRAM, 'prefetchable', this.vga.vram);
    if (props.mmio ?? true) this.addMmio();
    this.loadOptionRom();
    // From here on nothing can fail.
    this.console = this.env.displays.createGraphicConsole(this, 0, this.hardware());
    this.vga.renderer.console = this.console;
  }
  private addMmio(): void {
    const container = objectNewAs(MemoryRegion, 'memory-region');
    const parts = { edid: () => this.edid, hasExtendedRegs: this.props['qemu-extended-regs'] };
    this.registerBar(BAR_MMIO, 'memory', vgaMmio(this, container, parts));
  }
  private hardware() {
    const { renderer } = this.vga;
    return {
      graphicUpdate: () => renderer.graphicUpdate(),
      invalidate: () => renderer.invalidate(),
      textUpdate: renderer.textUpdate.bind(renderer),
      ...(this.props.edid ? { uiInfo: (info: UiInfo) => this.makeEdid(info.width, info.height) } : {}),
    };
  }
  /** The viewer's wish becomes the monitor's preferred size; the guest looks when it likes. */
  private makeEdid(xres: number, yres: number): void {
    const { xmax, ymax, refresh_rate: refreshRate } = this.props;
    this.edid = makeEdid({ xres, yres, xmax, ymax, refreshRate });
  }
  override reset(): void {
    super.reset();
    this.vga.reset(this.state.vga);
  }
  override postLoad(): void {
    super.postLoad();
    this.vga.s = this.state.vga;
    this.vga.stateReplaced();
  }
  override unrealize(): void {
    this.console?.setHardware(null);
    super.unrealize();
  }
}

export class VgaPci extends StandardVga {
  override realize(): void {
    super.realize();
    this.vga.mapLowMemory(this.pciBus.memory);
    mapVgaPorts(this);
  }
  override unrealize(): void {
    this.vga.unmapLowMemory();
    super.unrealize();
  }
}

export class SecondaryVga extends StandardVga {
  override reset(): void {
    super.reset();
    // Nobody but its driver sets it up, and without legacy ports nobody can unblank it otherwise.
    this.vga.s.ar_index |= 0x20;
  }
}

const CLASS_VGA = 0x0300;
const CLASS_OTHER_DISPLAY = 0x0380;
const IDS = { vendorId: 0x1234, deviceId: 0x1111, revision: 2 } as const;

export const vgaPciTypes = [
  pciDeviceType({
    name: 'pci-vga',
    abstract: true,
    category: 'display',
    vmstate: STATE,
    pci: { ...IDS, classId: CLASS_VGA },
    class: StandardVga as new () => Device,
  }),
  pciDeviceType({
    name: 'VGA',
    parent: 'pci-vga',
    class: VgaPci as new () => Device,
    properties: PROPS,
    hotpluggable: false,
    pci: { ...IDS, classId: CLASS_VGA, romfile: 'vgabios-stdvga.bin' },
  }),
  pciDeviceType({
    name: 'secondary-vga',
    parent: 'pci-vga',
    class: SecondaryVga as new () => Device,
    properties: SECONDARY_PROPS,
    pci: { ...IDS, classId: CLASS_OTHER_DISPLAY },
  }),
];
