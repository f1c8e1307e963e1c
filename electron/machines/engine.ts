/** Where the VM process's program is: our own engine, or whatever TERRARIUM_EMULATOR names (a QEMU will do). */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';

export interface Engine {
  /** What is executed: the program itself, or the Node that runs it. */
  command: string;
  /** Words before the machine's own. */
  prefix: string[];
  /** The file that is shown to the user. */
  path: string;
  /** A JavaScript engine can also be run by Electron's utilityProcess. */
  isScript: boolean;
  /** Why it cannot be started; null if it can. */
  problem: string | null;
}

export const EMULATOR_VARIABLE = 'TERRARIUM_EMULATOR';

/** Flags of Node and V8 that the emulator gains from; kept in step with build/bin/terrarium-x86_64. One processor is the machine's,
 *  one its compiling thread's; what is left optimises: more threads would take the machine's turn. Young objects
 *  have their room from the start on: growing it took five collections. A machine that idles would be woken for garbage collections that
 *  give next to nothing back; the one that a start has nearly earned would fall into its first seconds. */
const NODE_FLAGS = [
  '--experimental-wasm-branch-hinting',
  '--min-semi-space-size=4',
  '--max-semi-space-size=4',
  `--v8-pool-size=${Math.min(4, Math.max(1, availableParallelism() - 2))}`,
  '--no-memory-reducer',
  '--heap-growing-percent=200',
  '--wasm-tiering-budget=200000',
  '--no-wasm-lazy-compilation',
  '--allow-natives-syntax',
];

/** Looks anew at each call: the file may have been built or removed meanwhile. `root` is the package's folder. */
export function findEngine(root: string, environment: NodeJS.ProcessEnv = process.env): Engine {
  const wanted = environment[EMULATOR_VARIABLE];
  const path = wanted ? resolveProgram(wanted, environment) : join(root, 'dist', 'terrarium-x86_64.mjs');
  const isScript = /\.(mjs|js|ts)$/.test(path);
  if (!isScript) return { command: path, prefix: [], path, isScript, problem: problemOf(path, constants.X_OK, wanted) };
  const problem = problemOf(path, constants.R_OK, wanted);
  return { command: findNode(root), prefix: [...NODE_FLAGS, path], path, isScript, problem };
}

/** The package `node`'s binary when it is there: the same V8 everywhere. Otherwise the Node that runs us. */
function findNode(root: string): string {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const packaged = join(root, 'node_modules', 'node', 'bin', name);
  return existsSync(packaged) ? packaged : process.execPath;
}

function resolveProgram(wanted: string, environment: NodeJS.ProcessEnv): string {
  if (isAbsolute(wanted)) return wanted;
  for (const folder of (environment.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, wanted);
    if (folder && existsSync(candidate)) return candidate;
  }
  return wanted;
}

function problemOf(path: string, mode: number, wanted: string | undefined): string | null {
  try {
    accessSync(path, mode);
    if (statSync(path).isFile()) return null;
  } catch {
    // told below
  }
  const remedy = wanted ? `${EMULATOR_VARIABLE} names it.` : 'Build it with "npm run build".';
  return `The engine ${path} is missing or cannot be executed. ${remedy}`;
}
