/** Files that are read when somebody asks for a part of them. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import type { AnyBytes } from '../util/stored-bytes.ts';
import { errorText } from './streams.ts';

/** @param warn told once when the file cannot be read any more: zeroes are read instead
 *  @throws Error of the system when it cannot be opened */
export function openStored(path: string, warn: (why: string) => void): AnyBytes {
  const descriptor = openSync(path, 'r');
  try {
    const stat = fstatSync(descriptor);
    // A pipe cannot be read twice; of a directory the system says why it cannot.
    if (!stat.isFile()) {
      const bytes = readFileSync(descriptor);
      closeSync(descriptor);
      return bytes;
    }
    let hasFailed = false;
    const fail = (why: string) => {
      if (!hasFailed) warn(`could not read '${path}': ${why}`);
      hasFailed = true;
    };
    return {
      length: stat.size,
      read(at, into) {
        let done = 0;
        try {
          while (done < into.length) {
            const count = readSync(descriptor, into, done, into.length - done, at + done);
            if (count === 0) {
              fail('it has become shorter');
              break;
            }
            done += count;
          }
        } catch (error) {
          fail(errorText(error));
        }
        into.fill(0, done);
      },
    };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
