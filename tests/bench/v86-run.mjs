/** v86 (npm package `v86`) behind the part of QEMU's command line that the guest benchmark uses. Firmware: Debian's. */
import { readFileSync, writeSync } from 'node:fs';
import { V86 } from 'v86';

const modules = new URL('../../node_modules/v86/build/', import.meta.url);
/** @param {string | URL} path */
const contents = (path) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return { buffer: buffer.slice(byteOffset, byteOffset + byteLength) };
};
/** @type {Record<string, unknown>} */
const options = {
  wasm_path: new URL('v86.wasm', modules).pathname,
  bios: contents('/usr/share/seabios/bios.bin'),
  vga_bios: contents('/usr/share/seabios/vgabios-stdvga.bin'),
  vga_memory_size: 8 << 20,
  autostart: true,
  acpi: false,
  disable_keyboard: true,
  disable_mouse: true,
};
const args = process.argv.slice(2);
while (args.length > 0) {
  const name = args.shift() ?? '';
  const value = name === '-no-reboot' ? '' : (args.shift() ?? '');
  if (name === '-m') options.memory_size = Number.parseInt(value, 10) << 20;
  else if (name === '-kernel') options.bzimage = contents(value);
  else if (name === '-initrd') options.initrd = contents(value);
  else if (name === '-append') options.cmdline = value;
  else if (!['-serial', '-display', '-no-reboot'].includes(name)) throw new Error(`v86-run: unknown option ${name}`);
}
const machine = new V86(options);
/** @type {number[]} */
let output = [];
const flush = () => {
  if (output.length > 0) writeSync(1, Buffer.from(output));
  output = [];
};
machine.add_listener('serial0-output-byte', (/** @type {number} */ byte) => {
  output.push(byte);
  if (byte === 0x0a || output.length > 4000) flush();
});
setInterval(flush, 20).unref();
