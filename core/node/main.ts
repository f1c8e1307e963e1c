/** The program `terrarium-x86_64`: QEMU's command line in, a running machine out. */

import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { MonitorHub } from '../monitor/monitor-hub.ts';
import { type CommandLineResult, type ParsedCommandLine, parseCommandLine } from '../options/command-line.ts';
import { DriveFormatHelp } from '../options/drive-options.ts';
import { reportText, errorText as userErrorText } from '../options/location.ts';
import { createBlockControl } from '../system/block-control.ts';
import { answerHelp, vmstateDump } from '../system/help.ts';
import { createMonitorContext } from '../system/monitor-context.ts';
import { attachMonitors } from '../system/monitors-init.ts';
import { qemuInit } from '../system/qemu-init.ts';
import { VncServers } from '../system/vnc-init.ts';
import { UserError } from '../util/errors.ts';
import { setLogItems, setLogSink } from '../util/log.ts';
import { setTraceSink, setTraceState } from '../util/trace.ts';
import { nodeHost, PROGRAM, VERSION } from './host.ts';
import { errorText } from './streams.ts';

/** Set in the process that `-daemonize` leaves behind: the descriptor on which it says that it is ready. */
const DAEMON_VARIABLE = 'TERRARIUM_DAEMON_FD';

/** Ends with the message of a user's error. */
function fail(error: UserError): never {
  nodeHost.stderr(userErrorText(PROGRAM, error));
  process.exit(1);
}

function configFile(): string[] {
  const base = process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return [join(base, 'terrarium', 'terrarium.conf')];
}

function parse(argv: readonly string[]): CommandLineResult {
  return parseCommandLine(argv, {
    program: PROGRAM,
    version: VERSION,
    readFile(path) {
      try {
        return { bytes: new Uint8Array(readFileSync(path)) };
      } catch (error) {
        return { error: errorText(error) };
      }
    },
    warn: (line) => nodeHost.stderr(`${line}\n`),
    userConfigFiles: configFile(),
  });
}

/** `-d`, `-D` and `-trace`: before anything is made, so that the making shows. */
function startLog(command: ParsedCommandLine): void {
  let write: (text: string) => void = (text) => nodeHost.stderr(text);
  const file = command.logFile ?? command.traces.find((trace) => trace.file !== undefined)?.file;
  if (file !== undefined)
    try {
      write = nodeHost.openLog(file);
    } catch (error) {
      if (error instanceof UserError) throw new UserError(`Error opening logfile ${file}: ${error.message}`);
      throw error;
    }
  setLogSink(write);
  setTraceSink((line) => write(`${line}\n`));
  setLogItems(command.logItems);
  for (const pattern of command.logTracePatterns) setTraceState(pattern, true);
  for (const trace of command.traces) {
    if (trace.enable !== undefined) {
      const pattern = trace.enable.replace(/^-/, '');
      if (setTraceState(pattern, !trace.enable.startsWith('-')) === 0 && !/[*?]/.test(pattern))
        nodeHost.stderr(`${reportText(PROGRAM, trace.location, `warning: trace event '${pattern}' does not exist`)}\n`);
    }
    if (trace.events === undefined) continue;
    let text: string;
    try {
      text = readFileSync(trace.events, 'utf8');
    } catch (error) {
      throw new UserError(`Could not open '${trace.events}': ${errorText(error)}`);
    }
    for (const line of text.split('\n').map((l) => l.trim()))
      if (line !== '' && !line.startsWith('#')) setTraceState(line.replace(/^-/, ''), !line.startsWith('-'));
  }
}

function writePidFile(path: string): void {
  try {
    const fd = openSync(path, 'w', 0o600);
    writeSync(fd, `${process.pid}\n`);
    closeSync(fd);
  } catch (error) {
    throw new UserError(`cannot create PID file: Could not create '${path}': ${errorText(error)}`);
  }
  process.once('exit', () => {
    try {
      unlinkSync(path);
    } catch {
      // Somebody has removed it already.
    }
  });
}

/** The parent's part of `-daemonize`: starts the same program apart from the terminal and waits until it is ready or has failed. */
async function daemonize(argv: readonly string[]): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...argv], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, [DAEMON_VARIABLE]: '3' },
  });
  child.stderr!.pipe(process.stderr);
  const ready = child.stdio[3] as NodeJS.ReadableStream;
  let isReady = false;
  ready.on('data', () => {
    isReady = true;
    child.unref();
    process.exit(0);
  });
  child.once('exit', (code) => {
    if (!isReady) process.exit(code ?? 1);
  });
}

function reportReady(): void {
  const fd = process.env[DAEMON_VARIABLE];
  if (fd === undefined) return;
  writeSync(Number(fd), 'ready');
  closeSync(Number(fd));
}

async function writeDump(command: ParsedCommandLine, path: string): Promise<void> {
  try {
    await nodeHost.writeFile(path, new TextEncoder().encode(vmstateDump(command.machine.type ?? null)));
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`open ${path}: ${error.message}`);
    throw error;
  }
}

async function run(argv: readonly string[]): Promise<void> {
  const command = parse(argv);
  if (command.kind === 'answer') {
    nodeHost.stdout(command.stdout);
    process.exit(command.exitCode);
  }
  if (command.kind === 'help') {
    try {
      nodeHost.stdout(answerHelp(command, nodeHost));
    } catch (error) {
      // QEMU says that there is no such device, and leaves content.
      if (!(error instanceof UserError) || command.topic !== 'device-properties') throw error;
      nodeHost.stderr(userErrorText(PROGRAM, error));
    }
    process.exit(0);
  }
  if (command.dumpVmstate !== undefined) {
    await writeDump(command, command.dumpVmstate);
    process.exit(0);
  }
  if (command.daemonize && process.env[DAEMON_VARIABLE] === undefined) {
    await daemonize(argv);
    return;
  }
  if (command.processName !== undefined) process.title = command.processName;
  startLog(command);
  if (command.pidFile !== undefined) writePidFile(command.pidFile);
  const system = await qemuInit(command, nodeHost);
  const { running, chardevs } = system;
  const vnc = new VncServers(system);
  const hub = new MonitorHub(createMonitorContext(system, createBlockControl(system.block), vnc));
  attachMonitors(hub, command.monitors, chardevs);
  chardevs.setMuxActions({ quit: () => running.parts.requests.requestShutdown('host-qmp-quit') });
  await vnc.start(command.vnc);
  const end = (code: number) => {
    vnc.close();
    chardevs.close();
    // Replies and events that are still on their way go out before the end; disks are brought to rest.
    void system.block.close().finally(() => setTimeout(() => process.exit(code), 20));
  };
  // The command that ends the machine is still to be answered.
  running.onExit((code) => setImmediate(() => end(code)));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      nodeHost.stderr(`${PROGRAM}: terminating on signal ${{ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal]}\n`);
      running.parts.requests.requestShutdown('host-signal');
    });
  reportReady();
  if (command.autostart) running.resume();
  else running.mainLoop.kick();
  // Somebody may still want to talk to a machine that has nothing to do.
  setInterval(() => {}, 2 ** 30);
}

/** Runs the program with the words of its command line. */
export function main(argv: readonly string[]): void {
  run(argv).catch((error: unknown) => {
    if (error instanceof UserError) fail(error);
    if (error instanceof DriveFormatHelp) {
      nodeHost.stdout('Supported formats: raw\nSupported formats (read-only): raw\n');
      process.exit(0);
    }
    nodeHost.stderr(
      `${PROGRAM}: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(70);
  });
}
