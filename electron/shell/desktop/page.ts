/** The renderer's files under an origin of their own, `app://terrarium`, with a content security policy; and a window's
 *  contents kept to that origin. */
import { readFile } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';
import { protocol, type Session, type WebContents } from 'electron';
import { contentSecurityPolicy, contentTypeOf } from '../../app/page-files.ts';

const SCHEME = 'app';
export const PAGE_ORIGIN = `${SCHEME}://terrarium`;
export const PAGE_URL = `${PAGE_ORIGIN}/index.html`;

const PERMISSIONS = ['clipboard-read', 'clipboard-sanitized-write', 'fullscreen', 'keyboardLock', 'pointerLock'];

/** Before the app is ready. */
export function declareScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

export function servePage(session: Session, rendererDir: string): void {
  session.protocol.handle(SCHEME, async (request) => {
    const url = new URL(request.url);
    const path = normalize(join(rendererDir, decodeURIComponent(url.pathname)));
    if (url.host !== 'terrarium' || !path.startsWith(rendererDir + sep))
      return new Response('Not found', { status: 404 });
    const body = await readFile(path).catch(() => undefined);
    if (!body) return new Response('Not found', { status: 404 });
    const headers = {
      'content-type': contentTypeOf(extname(path)),
      'content-security-policy': contentSecurityPolicy("'self'"),
      'x-content-type-options': 'nosniff',
    };
    return new Response(new Uint8Array(body), { headers });
  });
  session.setPermissionRequestHandler((_contents, permission, answer) => answer(PERMISSIONS.includes(permission)));
  session.setPermissionCheckHandler((_contents, permission) => PERMISSIONS.includes(permission));
}

/** No foreign page, no second window, no embedded one. */
export function confine(contents: WebContents): void {
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  contents.on('will-navigate', (event, url) => {
    if (!url.startsWith(`${PAGE_ORIGIN}/`)) event.preventDefault();
  });
  contents.on('will-attach-webview', (event) => event.preventDefault());
}
