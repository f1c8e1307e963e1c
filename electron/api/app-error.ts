/** An error that the user is meant to see: it crosses the contract as `ApiErrorData`. Everything else is our fault. */
import type { ApiErrorCode, ApiErrorData, Issue } from './contract.ts';

export interface AppErrorDetails {
  issues?: Issue[];
  engineOutput?: string;
  machineId?: string;
  cause?: unknown;
}

/** What happened, on what, what to do: one English sentence or two. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ApiErrorCode;
  readonly details: AppErrorDetails;

  constructor(code: ApiErrorCode, message: string, details: AppErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  toData(): ApiErrorData {
    const { issues, engineOutput, machineId } = this.details;
    return {
      code: this.code,
      message: this.message,
      ...(issues && { issues }),
      ...(engineOutput !== undefined && { engineOutput }),
      ...(machineId !== undefined && { machineId }),
    };
  }
}

const FILE_ERRORS: Record<string, string> = {
  ENOENT: 'it does not exist',
  EACCES: 'access to it is not permitted',
  EPERM: 'the operation on it is not permitted',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  EROFS: 'it lies on a read-only file system',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'its path goes round in circles',
  EBUSY: 'something else is using it',
  EMFILE: 'too many files are open',
  EIO: 'the device that holds it reports an error',
};

/** The code of an error of the host's file system, e.g. `ENOENT`. */
export function hostErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Says what could not be done with which file, and why: `reading` `/a.iso`. */
export function fileError(doing: string, path: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = hostErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('no-space', `${doing} ${path} failed: there is no space left on the disk.`, { cause: error });
  }
  const reason = (code && FILE_ERRORS[code]) || (error instanceof Error ? error.message : String(error));
  const kind = code === 'ENOENT' ? 'not-found' : code === 'EEXIST' ? 'conflict' : 'io';
  const why = code === 'EEXIST' ? 'a file of that name is there already' : reason;
  return new AppError(kind, `${doing} ${path} failed: ${why}.`, { cause: error });
}
