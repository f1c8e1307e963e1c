/** Wires between devices: interrupt lines and GPIO. A device never knows what hangs on its outputs. */
import { QomObject } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';

/** The receiving end of a wire. */
export interface Pin {
  set(level: number): void;
}

/** An input of a device: a QOM object of type `irq`, as QEMU shows it in the tree. */
export class InPin extends QomObject implements Pin {
  index = 0;
  handler: (level: number, index: number) => void = () => {};
  set(level: number): void {
    this.handler(level, this.index);
  }
}

/** An output of a device. Levels are 0 and 1, or any number where the wire carries one. */
export class OutPin implements Pin {
  private target: Pin | null = null;
  /** The level that was last put out: kept so that a late connection sees it. */
  level = 0;

  connect(target: Pin | null): void {
    this.target = target;
  }
  get connected(): Pin | null {
    return this.target;
  }
  set(level: number): void {
    this.level = level;
    this.target?.set(level);
  }
  raise(): void {
    this.set(1);
  }
  lower(): void {
    this.set(0);
  }
  pulse(): void {
    this.raise();
    this.lower();
  }
}

/** A wire that goes to several pins. */
export function splitPin(...targets: readonly Pin[]): Pin {
  return {
    set(level) {
      for (const target of targets) target.set(level);
    },
  };
}

typeRegister({ name: 'irq', parent: 'object', instance: InPin });
