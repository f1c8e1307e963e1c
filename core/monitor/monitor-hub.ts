/** All monitors of one machine: attaches QMP and HMP to byte streams, hands events to those who listen. */

import type { ByteStream } from '../util/byte-stream.ts';
import type { CommandScope, QmpCommand } from './command.ts';
import { QMP_COMMANDS } from './commands/index.ts';
import type { MonitorContext } from './context.ts';
import { EventLimiter } from './events.ts';
import { HmpSession } from './hmp/hmp-session.ts';
import { HmpInterpreter, newHmpState } from './hmp/interpreter.ts';
import { QmpSession } from './qmp-session.ts';

export class MonitorHub {
  private readonly context: MonitorContext;
  private readonly sessions = new Set<QmpSession>();
  private readonly hmpState = newHmpState();
  private readonly byName: ReadonlyMap<string, QmpCommand>;
  private readonly scope: CommandScope;

  constructor(context: MonitorContext) {
    this.context = context;
    this.byName = new Map(QMP_COMMANDS.map((command) => [command.name, command]));
    this.scope = {
      context,
      commands: QMP_COMMANDS,
      humanMonitor: (line, cpu) => this.humanMonitor(line, cpu),
    };
    const limiter = new EventLimiter(context.host, (line) => {
      for (const session of [...this.sessions]) session.sendEvent(line);
    });
    context.onEvent((event, data) => limiter.push({ event, data }));
  }

  /** Serves one client of a `mode=control` monitor. */
  attachQmp(stream: ByteStream, options: { readonly pretty?: boolean } = {}): void {
    const services = {
      identity: this.context.identity,
      scope: this.scope,
      findCommand: (name: string) => this.byName.get(name),
    };
    const session = new QmpSession(services, stream, options.pretty ?? false);
    this.sessions.add(session);
    stream.onClose(() => this.sessions.delete(session));
  }

  /** Serves one user of a `mode=readline` monitor. */
  attachHmp(stream: ByteStream): void {
    new HmpSession(this.context, this.hmpState, stream);
  }

  /** Runs an HMP line outside of any session; lines of the result end in CR LF as QMP gives them. */
  async humanMonitor(line: string, cpu = 0): Promise<string> {
    const interpreter = new HmpInterpreter(this.context, this.hmpState);
    interpreter.cpu = cpu;
    return (await interpreter.execute(line)).replaceAll('\n', '\r\n');
  }
}
