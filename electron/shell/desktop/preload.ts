/** All that a desktop window can reach: `window.terrarium`, a `DesktopBridge`. Bundled as one CommonJS file, because the
 *  window is sandboxed. */
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import type { ApiEventMessage, DesktopBridge } from '../../api/contract.ts';
import { IPC } from './ipc-names.ts';

/** The only thing of the page that is touched here: Electron moves ports between worlds by posting them. */
declare const window: {
  readonly location: { readonly origin: string };
  postMessage(message: unknown, targetOrigin: string, transfer: readonly unknown[]): void;
};

ipcRenderer.on(IPC.channel, (event, ticket: string) => {
  window.postMessage({ terrariumChannel: ticket }, window.location.origin, event.ports);
});

const bridge: DesktopBridge = {
  call: (method, params) => ipcRenderer.invoke(IPC.call, method, params),
  onEvent: (listener) => {
    ipcRenderer.on(IPC.event, (_event, message: ApiEventMessage) => listener(message));
  },
  openChannel: (kind, id, port, ticket) => ipcRenderer.send(IPC.openChannel, kind, id, port, ticket),
  pathForFile: (file) => webUtils.getPathForFile(file as Parameters<typeof webUtils.getPathForFile>[0]),
};

contextBridge.exposeInMainWorld('terrarium', bridge);
