/** The commands of a hard disk (ATA/ATAPI-6). Not modelled: security, host protected area beyond reading its end, tagged queuing, microcode download; they are aborted as unknown. */
import type { CommandSet, IdeUnit } from './ide-unit.ts';
import { DEVICE_RESET } from './ide-unit.ts';
import { identifyDisk } from './identify.ts';
import { ERROR, MAX_MULTIPLE, SECTOR, SELECT, STATUS } from './registers.ts';
import { Smart } from './smart.ts';

type Handler = (unit: IdeUnit, command: number) => void;
const ready: Handler = (unit) => unit.done();

/** Sectors that one command may still move through memory at a time: bounds what a guest can make us allocate. */
function isInRange(unit: IdeUnit): boolean {
  return unit.address >= 0 && unit.address + unit.state.nsector <= unit.sectors;
}
function outOfRange(unit: IdeUnit): void {
  unit.abort(ERROR.idNotFound | ERROR.abort);
}

/** READ SECTORS and its kin: blocks through the data port. */
function readPio(isLba48: boolean, isMultiple: boolean): Handler {
  return (unit) => {
    const { state } = unit;
    if (isMultiple && !state.mult_sectors) {
      unit.abort();
      return;
    }
    unit.takeSectorCount(isLba48);
    const perBlock = isMultiple ? state.mult_sectors : 1;
    const nextBlock = (): void => {
      if (state.nsector === 0) {
        state.status = STATUS.ready | STATUS.seek;
        return;
      }
      if (!isInRange(unit)) {
        outOfRange(unit);
        return;
      }
      const count = Math.min(perBlock, state.nsector);
      const bytes = new Uint8Array(count * SECTOR);
      unit.whenDone(
        unit.backend!.read(unit.address * SECTOR, bytes),
        () => {
          unit.address += count;
          state.nsector -= count;
          unit.startTransfer(bytes, true, nextBlock);
        },
        () => unit.abort(ERROR.abort | ERROR.uncorrectable),
      );
    };
    nextBlock();
  };
}

/** WRITE SECTORS and its kin. The first block is asked for without an interrupt. */
function writePio(isLba48: boolean, isMultiple: boolean): Handler {
  return (unit) => {
    const { state } = unit;
    if (isMultiple && !state.mult_sectors) {
      unit.abort();
      return;
    }
    unit.takeSectorCount(isLba48);
    const perBlock = isMultiple ? state.mult_sectors : 1;
    const nextBlock = (hasInterrupt: boolean): void => {
      const count = Math.min(perBlock, state.nsector);
      const bytes = new Uint8Array(count * SECTOR);
      unit.startTransfer(
        bytes,
        false,
        () => {
          if (!isInRange(unit)) {
            outOfRange(unit);
            return;
          }
          unit.whenDone(
            unit.backend!.write(unit.address * SECTOR, bytes),
            () => {
              unit.address += count;
              state.nsector -= count;
              if (state.nsector === 0) unit.done();
              else nextBlock(true);
            },
            () => unit.abort(ERROR.abort),
          );
        },
        hasInterrupt,
      );
    };
    nextBlock(false);
  };
}

function dma(isLba48: boolean, isRead: boolean): Handler {
  return (unit) => {
    const { state } = unit;
    unit.takeSectorCount(isLba48);
    if (!isInRange(unit)) {
      outOfRange(unit);
      return;
    }
    const first = unit.address;
    const settle = (bytes: number) => {
      unit.address = first + bytes / SECTOR;
      state.nsector -= bytes / SECTOR;
    };
    const total = state.nsector * SECTOR;
    unit.startDma(
      total,
      isRead,
      (offset, buffer) => {
        const at = first * SECTOR + offset;
        return isRead ? unit.backend!.read(at, buffer) : unit.backend!.write(at, buffer);
      },
      () => {
        settle(total);
        unit.done();
      },
      (_error, done) => {
        settle(done);
        unit.abort(isRead ? ERROR.abort | ERROR.uncorrectable : ERROR.abort);
      },
    );
  };
}

function verify(isLba48: boolean): Handler {
  return (unit) => {
    unit.takeSectorCount(isLba48);
    if (isInRange(unit)) unit.done();
    else outOfRange(unit);
  };
}

const seek: Handler = (unit) => {
  unit.state.lba48 = 0;
  if (unit.address < unit.sectors) unit.done();
  else outOfRange(unit);
};

const flush: Handler = (unit) => {
  unit.whenDone(
    unit.backend!.flush(),
    () => unit.done(),
    () => unit.abort(),
  );
};

function nativeMax(isLba48: boolean): Handler {
  return (unit) => {
    const { state } = unit;
    state.lba48 = isLba48 ? 1 : 0;
    state.select |= SELECT.lba;
    const last = Math.max(0, unit.sectors - 1);
    unit.address = isLba48 ? last : Math.min(last, 0xfff_ffff);
    unit.done();
  };
}

const identify: Handler = (unit) => {
  unit.state.identify_set = 1;
  unit.startTransfer(identifyDisk(unit), true, () => {
    unit.state.status = STATUS.ready | STATUS.seek;
  });
};

const initializeParameters: Handler = (unit) => {
  const { state } = unit;
  const sectors = state.nsector & 0xff;
  const heads = (state.select & SELECT.head) + 1;
  if (sectors === 0) {
    unit.abort();
    return;
  }
  const cylinders = Math.min(65535, Math.floor(unit.sectors / (heads * sectors)));
  const { geometry } = unit;
  const isNative = geometry.heads === heads && geometry.sectors === sectors;
  unit.translation = isNative ? geometry : { cylinders, heads, sectors };
  unit.done();
};

const setMultiple: Handler = (unit) => {
  const count = unit.state.nsector & 0xff;
  if (count > MAX_MULTIPLE || (count & (count - 1)) !== 0) {
    unit.abort();
    return;
  }
  unit.state.mult_sectors = count;
  unit.done();
};

const checkPower: Handler = (unit) => {
  unit.state.nsector = 0xff;
  unit.done();
};

/** EXECUTE DEVICE DIAGNOSTIC runs on both drives. */
export const diagnose: Handler = (unit) => {
  unit.bus.state.unit = 0;
  for (const each of unit.bus.units) {
    each.setSignature();
    each.state.status = each.kind === 'cd' ? 0 : STATUS.ready | STATUS.seek;
    each.state.error = 0x01;
  }
  unit.bus.setIrq();
};

/** SET FEATURES, for either kind of drive. */
export const setFeatures: Handler = (unit) => {
  const { state } = unit;
  const setWriteCache = (isOn: boolean) => {
    unit.isWriteCacheOn = isOn;
    if (unit.backend) unit.backend.isWriteThrough = !isOn;
  };
  switch (state.feature) {
    case 0x02:
      setWriteCache(true);
      break;
    case 0x82:
      setWriteCache(false);
      if (unit.kind === 'disk') {
        flush(unit, 0);
        return;
      }
      break;
    case 0x03:
      if (!setTransferMode(unit, state.nsector & 0xff)) {
        unit.abort();
        return;
      }
      break;
    // accepted without an effect: power management, reverting, ECC length, read look-ahead, acoustics, 8-bit transfers
    case 0x05:
    case 0x42:
    case 0x55:
    case 0x66:
    case 0x67:
    case 0x69:
    case 0x85:
    case 0x96:
    case 0x9a:
    case 0xaa:
    case 0xc2:
    case 0xcc:
      break;
    default:
      unit.abort();
      return;
  }
  unit.done();
};
function setTransferMode(unit: IdeUnit, mode: number): boolean {
  const selected = 1 << ((mode & 7) + 8);
  switch (mode >> 3) {
    case 0: // PIO default
    case 1: // PIO with flow control
      unit.transferModes = { multiword: 0x07, ultra: 0x3f };
      return true;
    case 2: // single-word DMA
      unit.transferModes = { multiword: 0x07, ultra: 0x3f };
      return true;
    case 4:
      unit.transferModes = { multiword: 0x07 | selected, ultra: 0x3f };
      return true;
    case 8:
      unit.transferModes = { multiword: 0x07, ultra: 0x3f | selected };
      return true;
    default:
      return false;
  }
}

const smartUnits = new WeakMap<IdeUnit, Smart>();
const smart: Handler = (unit) => {
  let own = smartUnits.get(unit);
  if (!own) {
    own = new Smart();
    smartUnits.set(unit, own);
  }
  own.execute(unit);
};

const HANDLERS: Readonly<Record<number, Handler>> = {
  16: ready, // RECALIBRATE
  32: readPio(false, false),
  33: readPio(false, false),
  36: readPio(true, false),
  37: dma(true, true),
  39: nativeMax(true),
  41: readPio(true, true),
  48: writePio(false, false),
  49: writePio(false, false),
  52: writePio(true, false),
  53: dma(true, false),
  56: writePio(false, false), // CFA WRITE SECTORS WITHOUT ERASE
  57: writePio(true, true),
  60: writePio(false, false), // WRITE VERIFY
  64: verify(false),
  65: verify(false),
  66: verify(true),
  112: seek,
  144: diagnose,
  145: initializeParameters,
  148: ready, // power management, old and new codes
  149: ready,
  150: ready,
  151: ready,
  152: checkPower,
  153: ready,
  176: smart,
  196: readPio(false, true),
  197: writePio(false, true),
  198: setMultiple,
  200: dma(false, true),
  201: dma(false, true),
  202: dma(false, false),
  203: dma(false, false),
  205: writePio(false, true), // CFA WRITE MULTIPLE WITHOUT ERASE
  224: ready,
  225: ready,
  226: ready,
  227: ready,
  229: checkPower,
  230: ready,
  231: flush,
  234: flush,
  236: identify,
  239: setFeatures,
  248: nativeMax(false),
};

export const ataCommands: CommandSet = {
  execute(unit, command) {
    const handler = command === DEVICE_RESET ? undefined : HANDLERS[command];
    if (handler) handler(unit, command);
    else unit.abort();
  },
};
