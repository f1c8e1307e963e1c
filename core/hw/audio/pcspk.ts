/**
 * The PC speaker's port 0x61: gate and OUT of timer counter 2, the speaker's data bit, the memory refresh bit.
 * The speaker is silent: `audiodev` is accepted, nothing is played.
 */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { objectAddLink, type QomObject } from '../../qom/object.ts';
import { u8 as u8Field, vmstate } from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { bool, properties, str, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

/** What the speaker needs of its timer. */
export interface SpeakerTimer extends QomObject {
  outLevel(counter: number): number;
  getGate(counter: number): number;
  setGate(counter: number, level: number): void;
}

const COUNTER = 2;
const BIT = { gate: 0x01, data: 0x02, refresh: 0x10, out: 0x20 } as const;

const PROPS = properties({
  audiodev: str(null, 'ID of an audiodev to use as a backend'),
  iobase: u32(0x61),
  migrate: bool(true),
});
const STATE = vmstate('pcspk', 1, { data_on: u8Field(), dummy_refresh_clock: u8Field() });

export class PcSpeaker extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  /** The timer whose counter 2 sounds; the board sets it before realize. */
  pit: SpeakerTimer | null = null;

  constructor() {
    super();
    objectAddLink(this, 'pit', 'pit-common', {
      get: () => this.pit,
      set: (target) => {
        this.pit = target as SpeakerTimer | null;
      },
    });
  }

  override realize(): void {
    this.mapPorts(this.props.iobase, 1, PORT, 'pcspk');
  }

  read(): number {
    const { state, pit } = this;
    // Software waits by counting changes of the refresh bit; one per read keeps such loops short.
    state.dummy_refresh_clock ^= BIT.refresh;
    return (
      (pit?.getGate(COUNTER) ? BIT.gate : 0) |
      (state.data_on ? BIT.data : 0) |
      state.dummy_refresh_clock |
      (pit?.outLevel(COUNTER) ? BIT.out : 0)
    );
  }
  write(value: number): void {
    this.state.data_on = value & BIT.data ? 1 : 0;
    this.pit?.setGate(COUNTER, value & BIT.gate);
  }
}

const PORT: MemoryRegionOps<PcSpeaker> = {
  impl: { min: 1, max: 1 },
  read: (speaker) => speaker.read(),
  write: (speaker, _, value) => speaker.write(value),
};

export const pcspkType = deviceType({
  name: 'isa-pcspk',
  parent: 'isa-device',
  category: 'sound',
  class: PcSpeaker,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
