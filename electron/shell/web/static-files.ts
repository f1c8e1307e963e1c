/** The renderer's files over HTTP, and nothing else of the disk. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { contentTypeOf } from '../../app/page-files.ts';

/** Answers GET and HEAD for a file below `folder`; `/` is index.html. */
export async function serveFile(folder: string, pathname: string, request: IncomingMessage, response: ServerResponse) {
  const path = fileBelow(folder, pathname === '/' ? '/index.html' : pathname);
  const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || !info?.isFile()) {
    const isMissingPage = pathname === '/';
    response.writeHead(isMissingPage ? 503 : 404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(isMissingPage ? `The window's files are missing in ${folder}: run "npm run build".\n` : 'Not found\n');
    return;
  }
  response.writeHead(200, {
    'content-type': contentTypeOf(extname(path)),
    'content-length': info.size,
    // Vite puts a hash into the names of what lies in assets/.
    'cache-control': pathname.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store',
  });
  if (request.method === 'HEAD') response.end();
  else pipeline(createReadStream(path), response, () => {}); // a window that goes away while loading is no error
}

function fileBelow(folder: string, pathname: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return undefined;
  const path = normalize(join(folder, decoded));
  return path.startsWith(folder + sep) ? path : undefined;
}
