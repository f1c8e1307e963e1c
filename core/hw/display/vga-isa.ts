/** `isa-vga`: the same VGA on the ISA bus. Its BIOS is loaded by the board; the linear frame buffer is at a fixed address. */
import type { DisplayConsole } from '../../backends/display/console.ts';
import type { Device } from '../core/device.ts';
import { deviceType } from '../core/device.ts';
import { properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';
import { VgaCommon } from './vga-common.ts';
import { mapVgaPorts } from './vga-ports.ts';
import { VGA_COMMON_STATE } from './vga-registers.ts';

const PROPS = properties({ vgamem_mb: u32(8) });
/** Where Bochs VBE guests expect the linear frame buffer of a card without BARs. */
const LINEAR_BASE = 0xe000_0000;

export class VgaIsa extends IsaDevice<typeof PROPS, typeof VGA_COMMON_STATE.fields> {
  vga!: VgaCommon;
  console: DisplayConsole | null = null;

  override realize(): void {
    const { systemMemory, displays } = this.env;
    this.vga = new VgaCommon(this, { vgamemMb: this.props.vgamem_mb, ramName: 'vga.vram' });
    this.vga.reset(this.state);
    this.vga.mapLowMemory(systemMemory);
    systemMemory.addSubregion(LINEAR_BASE, this.vga.vram, 1);
    mapVgaPorts(this);
    this.console = displays.createGraphicConsole(this, 0, this.vga.renderer);
    this.vga.renderer.console = this.console;
  }
  override reset(): void {
    super.reset();
    this.vga.reset(this.state);
  }
  postLoad(): void {
    this.vga.s = this.state;
    this.vga.stateReplaced();
  }
}

export const vgaIsaTypes = [
  deviceType({
    name: 'isa-vga',
    parent: 'isa-device',
    category: 'display',
    class: VgaIsa as new () => Device,
    properties: PROPS,
    vmstate: VGA_COMMON_STATE,
  }),
];
