/** `-global driver.property=value`: defaults that apply to every device of a type and its children. */
import type { Device } from '../hw/core/device.ts';
import { classIsA, objectClassByName } from '../qom/type.ts';
import { UserError } from '../util/errors.ts';

export interface GlobalProperty {
  readonly driver: string;
  readonly property: string;
  readonly value: string;
}

/** QEMU reads globals with another parser than `-device`, which names integers by their size. */
function asGlobal(message: string, device: Device, { property }: GlobalProperty): string {
  const isSigned = device.kindOf(property)?.typeName.startsWith('int');
  return message.replace(/ expects integer$/, isSigned ? ' expects int64' : ' expects uint64');
}

export class GlobalProperties {
  private readonly list: readonly GlobalProperty[];
  private readonly used = new Set<GlobalProperty>();
  private readonly set: (device: Device, name: string, text: string) => void;

  constructor(list: readonly GlobalProperty[], set: (device: Device, name: string, text: string) => void) {
    this.list = list;
    this.set = set;
  }

  /** Applies what concerns a device, in order. @throws UserError as QEMU words it */
  apply(device: Device): void {
    for (const global of this.list) {
      if (!classIsA(device.klass, global.driver)) continue;
      this.used.add(global);
      try {
        this.set(device, global.property, global.value);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        throw new UserError(
          `can't apply global ${global.driver}.${global.property}=${global.value}: ${asGlobal(error.message, device, global)}`,
          error.hint,
        );
      }
    }
  }

  /** Warnings for those that never meant anything, said once the machine is made. */
  *warnings(): Generator<string> {
    for (const global of this.list) {
      if (this.used.has(global)) continue;
      const klass = objectClassByName(global.driver);
      if (!klass || !classIsA(klass, 'device'))
        yield `global ${global.driver}.${global.property} has invalid class name`;
      else yield `global ${global.driver}.${global.property}=${global.value} not used`;
    }
  }
}
