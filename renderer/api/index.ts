/** The one client of this window, over whichever shell the page runs in. */
import type { ApiClient } from '../../electron/api/contract.ts';
import { DesktopClient } from './desktop.ts';
import { WebClient } from './web.ts';

export { ApiError } from './wire.ts';

function connect(): ApiClient {
  return window.terrarium ? new DesktopClient(window.terrarium) : new WebClient();
}

let client: ApiClient | undefined;

/** Connects at the first use. */
export function api(): ApiClient {
  client ??= connect();
  return client;
}

/** Puts another client in place before the first use: the stand-in of `vite dev`. */
export function setClient(other: ApiClient): void {
  client = other;
}
