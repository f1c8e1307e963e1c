/** `npm start` where there is no Electron or no display: serves the app to a browser on this computer.
 *
 *  SIGINT and SIGTERM end it. What then becomes of running machines is the setting `onQuit`: powered off (the default),
 *  asked to shut down by their power button and powered off after 20 s, or left running, to be found again at the next
 *  start. `--on-quit` overrides it; a second signal powers everything off at once. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AppError, hostErrorCode } from '../../api/app-error.ts';
import { settingsSchema } from '../../api/contract.ts';
import { chooseDataDir, findPackageRoot } from '../../app/host.ts';
import { Terrarium } from '../../app/terrarium.ts';
import { ChildLauncher } from '../../machines/vm-launcher.ts';
import { startWebShell } from './server.ts';

const USAGE = `usage: terrarium --web [--port N] [--data-dir FOLDER] [--on-quit powerOff|shutdown|keep]

  --port N          listen on 127.0.0.1:N (default: a free port)
  --data-dir FOLDER keep machines and media there (default: the user's data folder)
  --on-quit WHAT    what becomes of running machines at the end (default: the setting)
`;

async function main(): Promise<void> {
  const { values } = readArguments();
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const port = Number(values.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new AppError('invalid', `${values.port} is not a port.`);
  const onQuit = values['on-quit'] === undefined ? undefined : settingsSchema.shape.onQuit.safeParse(values['on-quit']);
  if (onQuit && !onQuit.success) throw new AppError('invalid', `--on-quit cannot be ${values['on-quit']}.`);
  const root = findPackageRoot(import.meta.dirname);
  const app = await Terrarium.open({
    root,
    dataDir: chooseDataDir(values['data-dir']),
    launcher: new ChildLauncher(),
    shell: { kind: 'web' },
    onInternalError: (error) => console.error(error),
  });
  const shell = await startWebShell(app, join(root, 'dist', 'renderer'), port).catch(async (error) => {
    await app.close('keep');
    if (hostErrorCode(error) === 'EADDRINUSE') throw new AppError('conflict', `The port ${port} is in use.`);
    throw error;
  });
  console.log(`Terrarium is at ${shell.url}`);

  let signals = 0;
  const end = async () => {
    signals++;
    if (signals > 1) {
      for (const id of app.machines.runningIds)
        app.machines
          .session(id)
          ?.powerOff()
          .catch(() => {}); // on the way out
      return;
    }
    const count = app.machines.runningIds.length;
    const policy = onQuit?.data ?? app.library.settings().onQuit;
    if (count > 0) console.log(`Ending; ${count} running: ${policy}.`);
    await app.close(policy);
    await shell.close();
    process.exit(0);
  };
  process.on('SIGINT', () => void end());
  process.on('SIGTERM', () => void end());
  process.on('SIGHUP', () => void end());
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        port: { type: 'string' },
        'data-dir': { type: 'string' },
        'on-quit': { type: 'string' },
        web: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new AppError('invalid', `${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  }
}

main().catch((error) => {
  console.error(error instanceof AppError ? error.message : error);
  process.exitCode = 1;
});
