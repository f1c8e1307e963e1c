/** The `chardev` property: names a character device that no other front end has. The device attaches to it when it is realized. */
import { Chardev } from '../../backends/char/chardev.ts';
import { UserError } from '../../util/errors.ts';
import { environment } from './environment.ts';
import { backend, type PropertyKind } from './properties.ts';

export function chardev(): PropertyKind<Chardev | null> {
  return backend<Chardev>('ID of a chardev to use as a backend', {
    find(id) {
      const found = environment().findBackend('chardev', id);
      return found instanceof Chardev ? found : null;
    },
    attach(found, { device, name }) {
      if (!found.isBusy) return;
      throw new UserError(
        `Property '${device.typeName}.${name}' can't take value '${found.id}': Device '${found.id}' is in use`,
      );
    },
  });
}
