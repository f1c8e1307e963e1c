/** VM processes as Electron utility processes: a Node without a window, which ends with the app. An engine that is not
 *  JavaScript (a QEMU) is an ordinary child. */
import { createWriteStream } from 'node:fs';
import { utilityProcess } from 'electron';
import { AppError } from '../../api/app-error.ts';
import { identifyProcess, signalProcess } from '../../machines/process-identity.ts';
import {
  ChildLauncher,
  type LaunchRequest,
  type ProcessEnd,
  type VmLauncher,
  type VmProcess,
} from '../../machines/vm-launcher.ts';

const SPAWN_LIMIT_MS = 15_000;

export class UtilityLauncher implements VmLauncher {
  readonly canOutliveManager = false;
  private readonly children = new ChildLauncher();

  async launch(request: LaunchRequest): Promise<VmProcess> {
    if (!request.engine.isScript) return this.children.launch(request);
    const vm = utilityProcess.fork(request.engine.path, request.args, {
      cwd: request.workingDirectory,
      serviceName: 'Terrarium machine',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = createWriteStream(request.outputPath, { flags: 'a', mode: 0o600 });
    output.on('error', () => {}); // a full disk costs the output, not the machine
    vm.stdout?.pipe(output, { end: false });
    vm.stderr?.pipe(output, { end: false });
    const ended = new Promise<ProcessEnd>((resolve) => {
      vm.once('exit', (exitCode) => output.end(() => resolve({ exitCode, signal: null })));
    });
    const pid = await new Promise<number>((resolve, reject) => {
      const refuse = () => reject(new AppError('engine', `The engine ${request.engine.path} could not be started.`));
      const timer = setTimeout(refuse, SPAWN_LIMIT_MS);
      vm.once('exit', refuse);
      vm.once('spawn', () => {
        clearTimeout(timer);
        if (vm.pid === undefined) refuse();
        else resolve(vm.pid);
      });
    });
    const identity = identifyProcess(pid) ?? { pid, startTime: 'ended' };
    const kill = (signal: 'SIGTERM' | 'SIGKILL') => {
      if (signal === 'SIGTERM') vm.kill();
      else signalProcess(identity, signal);
    };
    return { identity, ended, kill };
  }
}
