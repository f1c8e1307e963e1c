/** The three kinds of error, never mixed: the user's, the guest's (see log.ts) and ours. */

/** Something the user asked for that cannot be done. The message is shown as it stands, in QEMU's words where QEMU has words for it. */
export class UserError extends Error {
  /** Further lines shown under the message, as QEMU's error_append_hint does. */
  readonly hint: string;
  constructor(message: string, hint = '') {
    super(message);
    this.name = 'UserError';
    this.hint = hint;
  }
}

/** A broken promise of our own code. Ends the one VM that it happened in, with a report. */
export class InternalError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InternalError';
  }
}

/** Assertion that stays on in release builds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}
