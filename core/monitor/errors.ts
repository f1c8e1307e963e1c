/** Errors of monitor commands: QMP's classes beside UserError, which is GenericError. */

import { UserError } from '../util/errors.ts';

export type ErrorClass = 'GenericError' | 'CommandNotFound' | 'DeviceNotActive' | 'DeviceNotFound' | 'KVMMissingCap';

/** A failure that QMP reports under a class of its own. */
export class MonitorError extends UserError {
  readonly errorClass: ErrorClass;
  constructor(errorClass: ErrorClass, message: string) {
    super(message);
    this.name = 'MonitorError';
    this.errorClass = errorClass;
  }
}

/** No device, backend or object of that name. */
export function deviceNotFound(name: string): MonitorError {
  return new MonitorError('DeviceNotFound', `Device '${name}' not found`);
}

export function errorClassOf(error: UserError): ErrorClass {
  return error instanceof MonitorError ? error.errorClass : 'GenericError';
}
