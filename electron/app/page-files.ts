/** What both shells know about the renderer's files and the files that are chosen for drives. */
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
};

export const DISC_EXTENSIONS = ['iso', 'img', 'cdr', 'bin'] as const;
export const DISK_EXTENSIONS = ['img', 'raw', 'bin', 'dd', 'hdd', 'disk'] as const;

export function contentTypeOf(extension: string): string {
  return TYPES[extension] ?? 'application/octet-stream';
}

/** xterm and noVNC make style elements while they run; scripts come from files only. */
export function contentSecurityPolicy(connect: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    `connect-src ${connect}`,
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
