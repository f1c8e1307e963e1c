/** Entry of `terrarium-x86_64`: lets V8 keep what it has compiled between starts, then loads the program. A cache that cannot be written costs nothing but time. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

const { XDG_CACHE_HOME, HOME, LOCALAPPDATA } = process.env;
const base = XDG_CACHE_HOME ?? LOCALAPPDATA ?? (HOME === undefined ? undefined : join(HOME, '.cache'));
if (base !== undefined) enableCompileCache(join(base, 'terrarium', 'compiled'));
const { main } = await import('./main.ts');
main(process.argv.slice(2));
