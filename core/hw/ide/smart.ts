/** SMART of a disk that never ages (ATA/ATAPI-6, 8.41): on and off, attribute values and thresholds, status, self-test and error logs. */
import type { IdeUnit } from './ide-unit.ts';
import { STATUS } from './registers.ts';

const KEY = { low: 0x4f, high: 0xc2 } as const;
const COMMAND = {
  readData: 0xd0,
  readThresholds: 0xd1,
  attributeAutosave: 0xd2,
  executeOffline: 0xd4,
  readLog: 0xd5,
  enable: 0xd8,
  disable: 0xd9,
  status: 0xda,
} as const;
const SELF_TEST_LOG = 0x06;
const ERROR_LOG = 0x01;
const LOG_DIRECTORY = 0x00;

/** id, flags, value, worst, six bytes raw, threshold */
const ATTRIBUTES: readonly (readonly number[])[] = [
  [1, 0x03, 100, 100, 0, 6], // raw read error rate
  [3, 0x03, 100, 100, 16, 0], // spin up
  [4, 0x02, 100, 100, 100, 20], // start and stop count
  [5, 0x03, 100, 100, 0, 36], // remapped sectors
  [9, 0x03, 100, 100, 1, 0], // power-on hours
  [12, 0x03, 100, 100, 0, 0], // power cycles
  [190, 0x03, 69, 69, 31, 50], // air flow temperature
];

function withChecksum(bytes: Uint8Array): Uint8Array {
  let sum = 0;
  for (let i = 0; i < 511; i++) sum += bytes[i]!;
  bytes[511] = -sum & 0xff;
  return bytes;
}

export class Smart {
  private isOn = true;
  private isAutosaveOn = true;
  private errorCount = 0;
  private readonly selfTests: { kind: number }[] = [];

  execute(unit: IdeUnit): void {
    const { state } = unit;
    const command = state.feature;
    if (state.hcyl !== KEY.high || state.lcyl !== KEY.low || (!this.isOn && command !== COMMAND.enable)) {
      unit.abort();
      return;
    }
    const send = (bytes: Uint8Array) =>
      unit.startTransfer(withChecksum(bytes), true, () => {
        state.status = STATUS.ready | STATUS.seek;
      });
    switch (command) {
      case COMMAND.enable:
      case COMMAND.disable:
        this.isOn = command === COMMAND.enable;
        break;
      case COMMAND.attributeAutosave:
        if (state.sector !== 0x00 && state.sector !== 0xf1) {
          unit.abort();
          return;
        }
        this.isAutosaveOn = state.sector === 0xf1;
        break;
      case COMMAND.status:
        // the key comes back unchanged while no threshold is exceeded
        break;
      case COMMAND.readData:
        send(this.data());
        return;
      case COMMAND.readThresholds:
        send(thresholds());
        return;
      case COMMAND.readLog: {
        const log = this.log(state.sector);
        if (log) send(log);
        else unit.abort();
        return;
      }
      case COMMAND.executeOffline:
        if (![0, 1, 2].includes(state.sector)) {
          unit.abort();
          return;
        }
        this.selfTests.push({ kind: state.sector });
        if (this.selfTests.length > 21) this.selfTests.shift();
        break;
      default:
        unit.abort();
        return;
    }
    unit.done();
  }

  private data(): Uint8Array {
    const bytes = new Uint8Array(512);
    bytes[0] = 1;
    ATTRIBUTES.forEach(([id, flags, value, worst, raw], i) => {
      bytes.set([id!, flags!, 0, value!, worst!, raw!], 2 + 12 * i);
    });
    bytes[362] = 0x02 | (this.isAutosaveOn ? 0x80 : 0);
    bytes[363] = this.selfTests.length === 0 ? 0 : 0x00;
    bytes[364] = 0x20; // seconds of an off-line collection
    bytes[367] = (1 << 4) | (1 << 3) | 1;
    bytes[368] = 0x03;
    bytes[370] = 0x01;
    bytes[372] = 0x02;
    bytes[373] = 0x36;
    bytes[374] = 0x01;
    return bytes;
  }
  private log(address: number): Uint8Array | null {
    const bytes = new Uint8Array(512);
    switch (address) {
      case LOG_DIRECTORY:
        bytes[0] = 1;
        bytes[ERROR_LOG * 2] = 1;
        bytes[SELF_TEST_LOG * 2] = 1;
        return bytes;
      case ERROR_LOG:
        bytes[0] = 1;
        bytes[452] = this.errorCount & 0xff;
        return bytes;
      case SELF_TEST_LOG:
        bytes[0] = 1;
        this.selfTests.forEach(({ kind }, i) => {
          bytes[2 + 24 * i] = kind;
        });
        bytes[508] = this.selfTests.length;
        return bytes;
      default:
        return null;
    }
  }
}

function thresholds(): Uint8Array {
  const bytes = new Uint8Array(512);
  bytes[0] = 1;
  ATTRIBUTES.forEach((attribute, i) => {
    bytes[2 + 12 * i] = attribute[0]!;
    bytes[3 + 12 * i] = attribute[5]!;
  });
  return bytes;
}
