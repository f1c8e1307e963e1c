/** `npm start` where Electron and a display are to be had: one window over the same app that the web shell serves. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { app, BrowserWindow, dialog, Menu, screen, session } from 'electron';
import { AppError } from '../../api/app-error.ts';
import { chooseDataDir, findPackageRoot } from '../../app/host.ts';
import { DISC_EXTENSIONS, DISK_EXTENSIONS } from '../../app/page-files.ts';
import { Terrarium } from '../../app/terrarium.ts';
import { MINIMUM_WINDOW, placeWindow, readWindowState, writeWindowState } from '../../app/window-state.ts';
import { serveIpc } from './ipc.ts';
import { confine, declareScheme, PAGE_URL, servePage } from './page.ts';
import { UtilityLauncher } from './utility-launcher.ts';

let window: BrowserWindow | undefined;
let terrarium: Terrarium | undefined;
let mayClose = false;

// Electron keeps its profile in one folder: two apps on one data folder would share it, so it belongs to the data folder.
const { values } = parseArgs({ options: { 'data-dir': { type: 'string' } }, strict: false, allowPositionals: true });
const wantedDir = values['data-dir'];
const dataDir = chooseDataDir(typeof wantedDir === 'string' ? wantedDir : undefined);
app.setPath('userData', join(dataDir, 'electron'));
app.commandLine.appendSwitch('js-flags', '--experimental-wasm-branch-hinting');
declareScheme();

if (app.requestSingleInstanceLock()) {
  app.on('second-instance', () => {
    if (window?.isMinimized()) window.restore();
    window?.focus();
  });
  app.on('window-all-closed', () => app.quit());
  app.on('before-quit', (event) => {
    if (!terrarium) return;
    event.preventDefault();
    void finish(terrarium);
  });
  app.whenReady().then(open).catch(failToOpen);
} else {
  app.quit();
}

async function open(): Promise<void> {
  const root = findPackageRoot(app.getAppPath());
  terrarium = await Terrarium.open({
    root,
    dataDir,
    launcher: new UtilityLauncher(),
    shell: { kind: 'desktop', pickFile },
    onInternalError: (error) => console.error(error),
  });
  serveIpc(terrarium, () => window);
  servePage(session.defaultSession, join(root, 'dist', 'renderer'));
  // No menu bar: its shortcuts would be taken away from the guest. On macOS the system wants one.
  Menu.setApplicationMenu(
    process.platform === 'darwin' ? Menu.buildFromTemplate([{ role: 'appMenu' }, { role: 'editMenu' }]) : null,
  );
  openWindow(join(dataDir, 'window.json'));
}

function openWindow(statePath: string): void {
  const state = readWindowState(statePath);
  const bounds = placeWindow(
    state,
    screen.getAllDisplays().map((display) => display.workArea),
  );
  const opened = new BrowserWindow({
    ...bounds,
    minWidth: MINIMUM_WINDOW.width,
    minHeight: MINIMUM_WINDOW.height,
    title: 'Terrarium',
    show: false,
    webPreferences: {
      preload: join(import.meta.dirname, 'preload.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      webviewTag: false,
      spellcheck: false,
    },
  });
  window = opened;
  confine(opened.webContents);
  if (state?.maximized) opened.maximize();
  opened.once('ready-to-show', () => opened.show());
  opened.on('close', (event) => {
    writeWindowState(statePath, { bounds: opened.getNormalBounds(), maximized: opened.isMaximized() });
    if (mayClose || !terrarium || terrarium.machines.runningIds.length === 0) return;
    event.preventDefault();
    void askBeforeClosing(opened, terrarium);
  });
  opened.on('closed', () => {
    window = undefined;
  });
  void opened.loadURL(PAGE_URL);
}

async function askBeforeClosing(parent: BrowserWindow, app: Terrarium): Promise<void> {
  const names = app.machines
    .summaries()
    .filter(({ id }) => app.machines.runningIds.includes(id))
    .map(({ name }) => name);
  const { response } = await dialog.showMessageBox(parent, {
    type: 'question',
    message: `Still running: ${names.join(', ')}`,
    detail: 'What a guest has not saved is lost when it is powered off.',
    buttons: ['Shut down', 'Power off', 'Cancel'],
    defaultId: 0,
    cancelId: 2,
  });
  if (response === 2) return;
  mayClose = true;
  await finish(app, response === 0 ? 'shutdown' : 'powerOff');
}

let finishing: Promise<void> | undefined;
function finish(opened: Terrarium, policy?: 'shutdown' | 'powerOff'): Promise<void> {
  finishing ??= opened.close(policy).finally(() => {
    terrarium = undefined;
    mayClose = true;
    app.quit();
  });
  return finishing;
}

async function pickFile(filter: 'iso' | 'disk' | 'all', title: string | undefined): Promise<string | null> {
  const all = { name: '*', extensions: ['*'] };
  const filters = {
    iso: [{ name: 'ISO', extensions: [...DISC_EXTENSIONS] }, all],
    disk: [{ name: 'raw', extensions: [...DISK_EXTENSIONS] }, all],
    all: [all],
  }[filter];
  const options: Electron.OpenDialogOptions = { filters, properties: ['openFile'], ...(title && { title }) };
  const { filePaths } = await (window ? dialog.showOpenDialog(window, options) : dialog.showOpenDialog(options));
  return filePaths[0] ?? null;
}

function failToOpen(error: unknown): void {
  if (!(error instanceof AppError)) console.error(error);
  dialog.showErrorBox('Terrarium', error instanceof Error ? error.message : String(error));
  app.exit(1);
}
