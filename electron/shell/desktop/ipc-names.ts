/** Names of the messages between preload script and main process. */
export const IPC = {
  call: 'terrarium:call',
  event: 'terrarium:event',
  openChannel: 'terrarium:open-channel',
  channel: 'terrarium:channel',
} as const;
