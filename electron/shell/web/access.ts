/** Who may talk to the web shell: only pages that it has served itself, to someone who has its token.
 *
 *  The token is random, printed once, and becomes a cookie. `Host` must name the loopback address (a name that an
 *  attacker makes point here, DNS rebinding, does not), and whatever a browser can be made to send from a foreign page
 *  carries that page's `Origin` and is refused. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export const TOKEN_HEADER = 'x-terrarium-token';

export type AccessVerdict = { allowed: true } | { allowed: false; status: 403 | 421; reason: string };

export class Access {
  readonly token: string;
  private port = 0;

  constructor(token = randomBytes(24).toString('base64url')) {
    this.token = token;
  }

  /** Called once the port is known. */
  listensOn(port: number): void {
    this.port = port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Cookies know no ports: the name keeps two Terrariums on one computer apart. */
  get cookie(): string {
    return `${this.cookieName}=${this.token}; Path=/; HttpOnly; SameSite=Strict`;
  }

  isToken(candidate: string | null | undefined): boolean {
    if (!candidate) return false;
    const [given, right] = [Buffer.from(candidate), Buffer.from(this.token)];
    return given.length === right.length && timingSafeEqual(given, right);
  }

  /** `changes`: the request may do something (WebSocket, POST), so a browser must say which page it comes from. */
  judge(request: IncomingMessage, changes: boolean): AccessVerdict {
    const hosts = [`127.0.0.1:${this.port}`, `localhost:${this.port}`, `[::1]:${this.port}`];
    const { host, origin } = request.headers;
    if (!host || !hosts.includes(host.toLowerCase())) {
      return { allowed: false, status: 421, reason: 'This address is not one of Terrarium.' };
    }
    if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
      return { allowed: false, status: 403, reason: 'This page does not belong to Terrarium.' };
    }
    const header = request.headers[TOKEN_HEADER];
    if (this.isToken(typeof header === 'string' ? header : undefined)) return { allowed: true };
    const hasCookie = this.isToken(readCookie(request.headers.cookie, this.cookieName));
    if (hasCookie && !(changes && origin === undefined)) return { allowed: true };
    return {
      allowed: false,
      status: 403,
      reason: 'Use the address, with its token, that Terrarium printed when it started.',
    };
  }

  private get cookieName(): string {
    return `terrarium-${this.port}`;
  }
}

function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? '').split(';')) {
    const [key, value] = pair.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}
