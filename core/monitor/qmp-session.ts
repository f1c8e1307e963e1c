/** One QMP connection: greeting, capabilities negotiation, commands one after the other, events between them. */

import type { ByteStream } from '../util/byte-stream.ts';
import { assert, UserError } from '../util/errors.ts';
import { encodeUtf8, formatJson, type JsonMessage, type JsonObject, JsonStream, type JsonValue } from '../util/json.ts';
import type { CommandScope, QmpCommand } from './command.ts';
import type { MonitorIdentity } from './context.ts';
import { errorClassOf, MonitorError } from './errors.ts';
import { checkMembers, choice, list, NO_MEMBERS, optional } from './schema.ts';

/** Requests that may wait while one runs. A client that sends more without reading is cut off. */
const MAX_WAITING = 4096;
/** And so many bytes of them. */
const MAX_WAITING_BYTES = 16 << 20;
/** Output that a client may leave unread. */
const MAX_UNREAD_BYTES = 64 << 20;

const CAPABILITIES_ARGUMENTS = { enable: optional(list(choice('oob'))) };

/** Part of schema and command list, but answered by the session itself. */
export const QMP_CAPABILITIES: QmpCommand = {
  name: 'qmp_capabilities',
  arguments: CAPABILITIES_ARGUMENTS,
  returns: undefined,
  run: () => undefined,
};

export interface QmpSessionServices {
  readonly identity: MonitorIdentity;
  readonly scope: CommandScope;
  findCommand(name: string): QmpCommand | undefined;
}

export class QmpSession {
  private readonly services: QmpSessionServices;
  private readonly stream: ByteStream;
  private readonly pretty: boolean;
  private readonly waiting: JsonMessage[] = [];
  private isNegotiated = false;
  private isBusy = false;
  /** What has arrived since the session was last idle. */
  private waitingBytes = 0;

  constructor(services: QmpSessionServices, stream: ByteStream, pretty = false) {
    this.services = services;
    this.stream = stream;
    this.pretty = pretty;
    const reader = new JsonStream((message) => this.enqueue(message));
    stream.onData((bytes) => {
      if (stream.isClosed) return;
      this.waitingBytes = this.isBusy ? this.waitingBytes + bytes.length : 0;
      if (this.waitingBytes > MAX_WAITING_BYTES) this.cutOff();
      else reader.feed(bytes);
    });
    this.send({ QMP: { version: versionOf(services.identity), capabilities: [] } });
  }

  /** Events go to clients that have negotiated. */
  sendEvent(line: JsonObject): void {
    if (this.isNegotiated) this.send(line);
  }

  private enqueue(message: JsonMessage): void {
    if (this.waiting.length >= MAX_WAITING) {
      this.cutOff();
      return;
    }
    this.waiting.push(message);
    if (!this.isBusy) void this.runWaiting();
  }

  private cutOff(): void {
    this.waiting.length = 0;
    this.stream.close();
  }

  private async runWaiting(): Promise<void> {
    this.isBusy = true;
    for (let next = this.waiting.shift(); next && !this.stream.isClosed; next = this.waiting.shift()) {
      const reply = this.answer(next);
      // A command that is done at once is answered at once: its events and its reply keep their order.
      this.send(reply instanceof Promise ? await reply : reply);
    }
    this.isBusy = false;
  }

  private answer(message: JsonMessage): JsonObject | Promise<JsonObject> {
    const id = 'value' in message && isObject(message.value) ? message.value.id : undefined;
    const withId = (reply: JsonObject): JsonObject => (id === undefined ? reply : { ...reply, id });
    try {
      const result = this.dispatch(message);
      if (!(result instanceof Promise)) return withId({ return: result ?? {} });
      return result.then(
        (value) => withId({ return: value ?? {} }),
        (error: unknown) => withId(errorReply(error)),
      );
    } catch (error) {
      return withId(errorReply(error));
    }
  }

  private dispatch(message: JsonMessage): JsonValue | undefined | Promise<JsonValue | undefined> {
    if ('error' in message) throw new UserError(message.error);
    const { name, args } = readRequest(message.value);
    const command = this.services.findCommand(name);
    if (!this.isNegotiated && command !== QMP_CAPABILITIES) {
      throw new MonitorError('CommandNotFound', "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    if (!command) throw new MonitorError('CommandNotFound', `The command ${name} has not been found`);
    if (command === QMP_CAPABILITIES) return this.negotiate(args);
    return command.run(this.services.scope, checkMembers(command.arguments, args));
  }

  private negotiate(args: JsonObject): undefined {
    if (this.isNegotiated) {
      throw new MonitorError('CommandNotFound', 'Capabilities negotiation is already complete, command ignored');
    }
    const { enable = [] } = checkMembers(CAPABILITIES_ARGUMENTS, args);
    if (enable.length > 0) throw new UserError('Capability oob not available');
    this.isNegotiated = true;
    return undefined;
  }

  private send(value: JsonObject): void {
    if (this.stream.isClosed) return;
    if (this.stream.queuedBytes > MAX_UNREAD_BYTES) {
      this.stream.close();
      return;
    }
    this.stream.write(encodeUtf8(`${formatJson(value, this.pretty).replaceAll('\n', '\r\n')}\r\n`));
  }
}

/** The version object of the greeting and query-version. */
export function versionOf(identity: MonitorIdentity): JsonObject {
  const { major, minor, micro } = identity.version;
  return { qemu: { micro, minor, major }, package: identity.packageName };
}

function readRequest(value: JsonValue): { name: string; args: JsonObject } {
  if (!isObject(value)) throw new UserError('QMP input must be a JSON object');
  let name: string | undefined;
  let args: JsonObject = NO_MEMBERS;
  for (const [key, member] of Object.entries(value)) {
    if (key === 'execute') {
      if (typeof member !== 'string') throw new UserError("QMP input member 'execute' must be a string");
      name = member;
    } else if (key === 'arguments') {
      if (!isObject(member)) throw new UserError("QMP input member 'arguments' must be an object");
      args = member;
    } else if (key !== 'id') throw new UserError(`QMP input member '${key}' is unexpected`);
  }
  if (name === undefined) throw new UserError("QMP input lacks member 'execute'");
  return { name, args };
}

function errorReply(error: unknown): JsonObject {
  // Ours, not the user's: never swallowed.
  if (!(error instanceof UserError)) throw error;
  assert(error.message !== '', 'an error without a text');
  return { error: { class: errorClassOf(error), desc: error.message } };
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
