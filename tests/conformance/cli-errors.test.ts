/** Command lines that need the whole program: its stderr and exit code against QEMU 7.2's. What the parser alone decides
 *  is tested beside the parser, from the same list. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { engine, rescueCd } from '../support/machine.ts';
import { QmpConnection } from '../support/qmp-connection.ts';
import data from './cli-errors.json' with { type: 'json' };
import known from './known-differences.json' with { type: 'json' };

interface Outcome {
  /** Null: it goes on running. */
  exit: number | null;
  stderr: string;
}

/** The files that the list's placeholders name, in a folder that is the program's working directory. */
function folderWithFiles(): string {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
  symlinkSync(rescueCd, join(folder, 'ISO'));
  const sizes = { DISK: 8 << 20, EMPTY: 0, ROFILE: 1 << 20, BIOSBAD: 1000, KERNELBAD: 1000, SMALL: 512 };
  for (const [name, size] of Object.entries(sizes)) {
    writeFileSync(join(folder, name), '');
    truncateSync(join(folder, name), size);
  }
  chmodSync(join(folder, 'ROFILE'), 0o444);
  for (const [name, text] of Object.entries(data.files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Runs the program until it ends, or its guest runs: QEMU answers QMP before it has seen all of its command line. */
async function run(args: readonly string[]): Promise<Outcome> {
  const folder = folderWithFiles();
  const socket = join(folder, 'qmp-socket');
  const child = spawn(
    engine,
    ['-display', 'none', '-qmp', `unix:${socket},server=on,wait=off`, ...args.filter((arg) => arg !== '-S')],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const answers = QmpConnection.open(socket, 20_000).then(async (qmp) => {
    for (;;) {
      const { return: reply } = await qmp.raw({ execute: 'query-status' });
      if (!reply) break; // it is about to end
      if ((reply as { status: string }).status === 'running') {
        qmp.close();
        child.kill('SIGKILL');
        await ended;
        return null;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    qmp.close();
    return ended;
  });
  try {
    const exit = await Promise.race([ended, answers.catch(() => ended)]); // it may end before it listens
    return {
      exit,
      stderr: stderr.replace(new RegExp(`^(${engine}|${basename(engine)}):`, 'gm'), 'PROGRAM:'),
    };
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  }
}

const reasons: Record<string, string> = known.lines;
const isRoot = process.getuid?.() === 0;

describe.concurrent('command lines that the whole program decides', () => {
  const lines = data.lines.filter((line) => line.decidedBy === 'machine' || line.decidedBy === 'later');
  for (const line of lines) {
    const name = line.args.join(' ');
    const reason = line.decidedBy === 'later' ? line.reason : reasons[name];
    // The superuser may write to any file.
    const test = line.args.some((arg) => arg.includes('ROFILE')) && isRoot ? it.skip : it;
    test(reason ? `${name}: differs still (${reason})` : name, async () => {
      const outcome = await run(line.args);
      const wanted = { exit: line.exit, stderr: line.stderr };
      if (reason) expect(outcome, 'it is as in QEMU now: take it off the list').not.toEqual(wanted);
      else expect(outcome).toEqual(wanted);
    });
  }

  it('the list of known differences names nothing that is not tested', () => {
    const names = new Set(lines.filter((line) => line.decidedBy === 'machine').map((line) => line.args.join(' ')));
    expect(Object.keys(reasons).filter((name) => !names.has(name))).toEqual([]);
  });
});
