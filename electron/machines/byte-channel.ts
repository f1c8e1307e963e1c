/** Bytes between a window (through whatever transport the shell has) and a socket of the VM process, in both directions
 *  at the pace of the slower side. */
import { createConnection, type Socket } from 'node:net';

/** The window's end, made by the shell. */
export interface ChannelPeer {
  /** `done` is called when the bytes have left this process. */
  send(bytes: Uint8Array, done: () => void): void;
  /** Stop and go for what comes from the window. */
  pause(): void;
  resume(): void;
  /** `reason`: a short English phrase. */
  close(reason: string): void;
}

/** The manager's end, called by the shell. */
export interface ChannelInput {
  receive(bytes: Uint8Array): void;
  /** The window has gone. */
  closed(): void;
}

const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;
const MOST_UNSENT = 8 * 1024 * 1024;
/** A guest that prints byte by byte makes a piece of each: that many are joined into one. */
const MOST_PIECES = 1024;

/** A connection of its own for this peer: for VNC, whose server knows several clients. */
export function bridgeToSocket(path: string, peer: ChannelPeer): ChannelInput {
  const socket = createConnection(path);
  let inFlight = 0;
  let ended = false;
  const end = (reason: string) => {
    if (ended) return;
    ended = true;
    socket.destroy();
    peer.close(reason);
  };
  socket.on('data', (bytes) => {
    inFlight += bytes.length;
    if (inFlight > HIGH_WATER) socket.pause();
    peer.send(bytes, () => {
      inFlight -= bytes.length;
      if (inFlight < LOW_WATER && !ended) socket.resume();
    });
  });
  socket.on('drain', () => peer.resume());
  socket.on('error', () => {}); // close follows
  socket.on('close', () => end('the machine closed the connection'));
  return {
    receive: (bytes) => writePaced(socket, bytes, peer, () => end('too much was sent that the machine does not read')),
    closed: () => {
      ended = true;
      socket.destroy();
    },
  };
}

function writePaced(socket: Socket, bytes: Uint8Array, peer: ChannelPeer, overflow: () => void): void {
  if (socket.destroyed) return;
  if (socket.writableLength > MOST_UNSENT) overflow();
  else if (!socket.write(bytes)) peer.pause();
}

/** One connection to a character device, kept from the machine's start, for any number of peers: a terminal that is
 *  opened later still shows what was printed before. */
export class SharedTerminal {
  private readonly socket: Socket;
  private readonly peers = new Map<ChannelPeer, { inFlight: number }>();
  private history: Uint8Array[] = [];
  private historyBytes = 0;
  private readonly historyLimit: number;

  constructor(path: string, historyLimit = 256 * 1024) {
    this.historyLimit = historyLimit;
    this.socket = createConnection(path);
    this.socket.on('data', (bytes) => this.spread(bytes));
    this.socket.on('drain', () => {
      for (const peer of this.peers.keys()) peer.resume();
    });
    this.socket.on('error', () => {}); // close follows
    this.socket.on('close', () => this.end('the machine closed the connection'));
  }

  /** Resolves when connected; rejects when the socket cannot be reached. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.socket.connecting) return this.socket.destroyed ? reject(new Error('not connected')) : resolve();
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
  }

  attach(peer: ChannelPeer): ChannelInput {
    this.peers.set(peer, { inFlight: 0 });
    if (this.socket.destroyed) this.detach(peer, 'the machine closed the connection');
    else if (this.historyBytes > 0) this.sendTo(peer, Buffer.concat(this.history));
    return {
      receive: (bytes) =>
        writePaced(this.socket, bytes, peer, () =>
          this.detach(peer, 'too much was sent that the machine does not read'),
        ),
      closed: () => void this.peers.delete(peer),
    };
  }

  close(): void {
    this.socket.destroy();
  }

  private spread(bytes: Buffer): void {
    this.history.push(bytes);
    this.historyBytes += bytes.length;
    if (this.historyBytes > this.historyLimit * 2) {
      this.history = [Buffer.concat(this.history).subarray(-this.historyLimit)];
      this.historyBytes = this.historyLimit;
    } else if (this.history.length > MOST_PIECES) this.history = [Buffer.concat(this.history)];
    for (const peer of this.peers.keys()) this.sendTo(peer, bytes);
  }

  private sendTo(peer: ChannelPeer, bytes: Uint8Array): void {
    const state = this.peers.get(peer);
    if (!state) return;
    state.inFlight += bytes.length;
    if (state.inFlight > MOST_UNSENT) {
      this.detach(peer, 'this terminal is too slow for the machine');
      return;
    }
    peer.send(bytes, () => {
      state.inFlight -= bytes.length;
    });
  }

  private detach(peer: ChannelPeer, reason: string): void {
    this.peers.delete(peer);
    peer.close(reason);
  }

  private end(reason: string): void {
    for (const peer of [...this.peers.keys()]) this.detach(peer, reason);
  }
}
