/** `npm run package`: installers for this system in dist/packages, with the firmware inside. Needs Electron's binary.
 *
 *    node build/package.mjs [options of electron-builder, such as --linux AppImage or --dir]
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { moduleFile, runNode } from './paths.mjs';
import { firmwareFiles, firmwareFolders, resourceFolder } from './setup/firmware.mjs';
import { orExplain, setUp } from './setup.mjs';

orExplain(() => {
  setUp();
  mkdirSync(resourceFolder, { recursive: true });
  for (const file of firmwareFiles) {
    const folder = firmwareFolders.find((it) => existsSync(join(it, file)));
    if (folder && folder !== resourceFolder) copyFileSync(join(folder, file), join(resourceFolder, file));
  }
});
const builder = moduleFile('electron-builder', 'cli.js');
process.exit(
  runNode([builder, '--config', 'build/electron-builder.json', '--publish', 'never', ...process.argv.slice(2)]),
);
