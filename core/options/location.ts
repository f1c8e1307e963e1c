/** Where a setting came from, for messages: an option on the command line, a line of a config file, or nowhere. */

import { UserError } from '../util/errors.ts';

export type Location =
  | { readonly kind: 'none' }
  | { readonly kind: 'commandLine'; readonly text: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number };

export const NO_LOCATION: Location = { kind: 'none' };

/** A user's error that knows where it was made. `message` is the bare sentence; `errorText` makes the whole of it. */
export class LocatedError extends UserError {
  readonly location: Location;
  constructor(location: Location, message: string, hint = '') {
    super(message, hint);
    this.name = 'LocatedError';
    this.location = location;
  }
}

/** Runs `body`; a UserError that has no location yet gets this one (QEMU's loc_push_restore around a step). */
export function withLocation<T>(location: Location, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw located(location, error);
  }
}

/** The same error with a location, unless it has one already or is not the user's. */
export function located(location: Location, error: unknown): unknown {
  if (!(error instanceof UserError) || error instanceof LocatedError) return error;
  return new LocatedError(location, error.message, error.hint);
}

/** One report as QEMU prints it: `PROGRAM: -device foo: text`, `PROGRAM:FILE:LINE: text` or `PROGRAM: text`. */
export function reportText(program: string, location: Location, text: string): string {
  if (location.kind === 'commandLine') return `${program}: ${location.text}: ${text}`;
  if (location.kind === 'file') return `${program}:${location.file}:${location.line}: ${text}`;
  return `${program}: ${text}`;
}

/** Everything that goes to stderr for a user's error: the report, a newline, then the hint's lines if there is one. */
export function errorText(program: string, error: UserError): string {
  const location = error instanceof LocatedError ? error.location : NO_LOCATION;
  const hint = error.hint === '' || error.hint.endsWith('\n') ? error.hint : `${error.hint}\n`;
  return `${reportText(program, location, error.message)}\n${hint}`;
}
