/** Guests of a few dozen bytes each, written here as machine code, that say what they see: a boot ROM, a Multiboot kernel
 *  and a Linux-like kernel. They print through `isa-debugcon` at port E9h and end the machine through `isa-debug-exit`. */
import { writeFileSync } from 'node:fs';

export const DEBUG_PORT = 0xe9; // not 402h: SeaBIOS writes its log there
export const EXIT_PORT = 0x501;
/** Options that give a guest both ports; what it prints goes to a file. */
export function reportingDevices(outputPath: string): string[] {
  return [
    ...['-chardev', `file,id=report,path=${outputPath}`, '-device', 'isa-debugcon,iobase=0xe9,chardev=report'],
    ...['-device', 'isa-debug-exit,iobase=0x501,iosize=0x4'],
  ];
}

const u16 = (value: number) => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number) => [...u16(value), ...u16(value >>> 16)];

/** One port access: `out` writes `value`; `in` prints what is read, low byte first; `bytes` prints `value` bytes, one by one. */
export type PortAccess =
  | { out: 1 | 2 | 4; port: number; value: number }
  | { in: 1 | 2 | 4; port: number }
  | { bytes: number; port: number };

const OPS = { end: 0, out: { 1: 1, 2: 2, 4: 3 }, in: { 1: 4, 2: 5, 4: 6 }, bytes: 7 } as const;

/** A 64 KiB ROM for `-bios` that makes the accesses in order, right from reset, and exits. It uses no memory at all. */
export function writeProbeRom(path: string, accesses: readonly PortAccess[]): void {
  const rom = Buffer.alloc(0x10000, 0xf4);
  let at = 0;
  const step = (op: number, port: number, value: number) => {
    for (const byte of [op, ...u16(port), ...u32(value)]) rom[at++] = byte;
    if (at > CODE) throw new Error('the script does not fit into the ROM');
  };
  for (const access of [...accesses, { out: 1, port: EXIT_PORT, value: 0 } as const]) {
    if ('out' in access) step(OPS.out[access.out], access.port, access.value);
    else if ('in' in access) step(OPS.in[access.in], access.port, 0);
    else
      for (let left = access.bytes; left > 0; left -= MOST_BYTES)
        step(OPS.bytes, access.port, Math.min(left, MOST_BYTES));
  }
  step(OPS.end, 0, 0);
  Buffer.from(PROBE_CODE).copy(rom, CODE);
  Buffer.from([0xea, ...u16(CODE), ...u16(0xf000)]).copy(rom, 0xfff0); // jmp f000:CODE
  writeFileSync(path, rom);
}

const CODE = 0xff00;
/** The loop counts in CX. */
const MOST_BYTES = 0xffff;
/** Jumps are relative to their ends: the distances below are counted from the listing. */
const PROBE_CODE = probeCode();

function probeCode(): number[] {
  const code: number[] = [];
  const labels = new Map<string, number>();
  const fixups: { at: number; label: string }[] = [];
  const emit = (...bytes: number[]) => code.push(...bytes);
  const jump = (opcode: number, label: string) => {
    emit(opcode, 0);
    fixups.push({ at: code.length - 1, label });
  };
  const label = (name: string) => labels.set(name, code.length);
  emit(0xfa, 0xfc, 0x31, 0xf6, 0x8c, 0xc8, 0x8e, 0xd8); // cli; cld; xor si,si; mov ax,cs; mov ds,ax
  label('next');
  emit(0xac, 0x88, 0xc3, 0xad, 0x89, 0xc2, 0x66, 0xad); // lodsb; mov bl,al; lodsw; mov dx,ax; lodsd
  const operations = ['end', 'out1', 'out2', 'out4', 'in1', 'in2', 'in4', 'bytes'];
  operations.forEach((name, op) => {
    emit(0x80, 0xfb, op); // cmp bl,op
    jump(0x74, name); // je
  });
  label('end');
  emit(0xf4); // hlt
  jump(0xeb, 'end');
  label('out1');
  emit(0xee); // out dx,al
  jump(0xeb, 'next');
  label('out2');
  emit(0xef);
  jump(0xeb, 'next');
  label('out4');
  emit(0x66, 0xef);
  jump(0xeb, 'next');
  label('in1');
  emit(0xec, 0xb1, 1); // in al,dx; mov cl,1
  jump(0xeb, 'print');
  label('in2');
  emit(0xed, 0xb1, 2);
  jump(0xeb, 'print');
  label('in4');
  emit(0x66, 0xed, 0xb1, 4);
  label('print');
  emit(0xba, ...u16(DEBUG_PORT)); // mov dx,port
  label('digit');
  emit(0xee, 0x66, 0xc1, 0xe8, 8, 0xfe, 0xc9); // out dx,al; shr eax,8; dec cl
  jump(0x75, 'digit'); // jnz
  jump(0xeb, 'next');
  label('bytes');
  emit(0x89, 0xc1, 0x89, 0xd3); // mov cx,ax; mov bx,dx
  label('byte');
  emit(0x89, 0xda, 0xec, 0xba, ...u16(DEBUG_PORT), 0xee); // mov dx,bx; in al,dx; mov dx,port; out dx,al
  jump(0xe2, 'byte'); // loop
  jump(0xeb, 'next');
  for (const { at, label: name } of fixups) code[at] = (labels.get(name)! - at - 1) & 0xff;
  return code;
}

const MULTIBOOT_BASE = 0x100000;

/** A Multiboot kernel (specification 0.6.96, with address fields): 32-bit code, entered with EAX magic and EBX information. */
export function writeMultibootKernel(path: string, code: readonly number[]): void {
  const [magic, flags] = [0x1badb002, 0x00010003];
  const entry = MULTIBOOT_BASE + 0x20;
  const fields = [magic, flags, -(magic + flags), MULTIBOOT_BASE, MULTIBOOT_BASE, 0, 0, entry];
  writeFileSync(path, Buffer.from([...fields.flatMap(u32), ...code]));
}

const movEcx = (count: number) => [0xb9, ...u32(count)];
const PRINT = [0xf3, 0x6e]; // rep outsb

/** Ends the machine with exit code `2 * value + 1`. */
export const exitWith = (value: number) => [0xb0, value, 0x66, 0xba, ...u16(EXIT_PORT), 0xee, 0xf4, 0xeb, 0xfd];

/** Multiboot code: prints magic and address, the information structure, command line, modules and memory map. */
export const PRINT_MULTIBOOT_INFORMATION = [
  ...[0xa3, ...u32(0x180000), 0x89, 0x1d, ...u32(0x180004)], // mov [180000],eax; mov [180004],ebx
  ...[0x66, 0xba, ...u16(DEBUG_PORT), 0xfc], // mov dx,port; cld
  ...[0xbe, ...u32(0x180000), ...movEcx(8), ...PRINT],
  ...[0x89, 0xde, ...movEcx(88), ...PRINT], // mov esi,ebx
  ...[0x8b, 0x73, 0x10, ...movEcx(64), ...PRINT], // mov esi,[ebx+16]: command line
  ...[0x8b, 0x73, 0x18, ...movEcx(16), ...PRINT], // mov esi,[ebx+24]: modules
  ...[0x8b, 0x73, 0x30, 0x8b, 0x4b, 0x2c, ...PRINT], // mov esi,[ebx+48]; mov ecx,[ebx+44]: memory map
  ...exitWith(0x2a),
];

/** Prints a text on the first serial port, waiting for room as a driver does. */
export function printSerially(text: string): number[] {
  return [...text].flatMap((character) => [
    ...[0x66, 0xba, ...u16(0x3fd), 0xec, 0xa8, 0x20, 0x74, 0xfb], // mov dx,3fd; in al,dx; test al,20; jz back
    ...[0x66, 0xba, ...u16(0x3f8), 0xb0, character.charCodeAt(0), 0xee],
  ]);
}

const PCI_PM = 0x80000b00; // bus 0, device 1, function 3
/** Asks for soft off where the power management function says that its control register is. */
export const POWER_OFF = [
  ...[0x66, 0xba, ...u16(0xcf8), 0xb8, ...u32(PCI_PM | 0x40), 0xef], // out cf8, PMBASE
  ...[0x66, 0xba, ...u16(0xcfc), 0xed, 0x66, 0x25, ...u16(0xffc0)], // in eax,cfc; and ax,ffc0
  ...[0x66, 0x83, 0xc0, 4, 0x66, 0x89, 0xc2], // add ax,4; mov dx,ax
  ...[0x66, 0xb8, ...u16(0x2000), 0x66, 0xef, 0xf4, 0xeb, 0xfd], // mov ax,SLP_EN; out dx,ax; hlt
];
/** Pulses the reset line through the keyboard controller. */
export const RESET = [0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];
export const HALT = [0xfa, 0xf4, 0xeb, 0xfd];

/** A kernel with the header of Linux's boot protocol 2.10: its 16-bit part prints the header as the loader has filled it
 *  in, then the command line, and exits. */
export function writeLinuxLikeKernel(path: string): void {
  const setupSectors = 4;
  const image = Buffer.alloc((setupSectors + 1) * 512 + 4096);
  image.writeUInt8(setupSectors, 0x1f1);
  image.writeUInt32LE(4096 / 16, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.writeUInt16LE(0x66eb, 0x200); // jmp to 268h, behind the header
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x20a, 0x206);
  image.writeUInt8(0x01, 0x211); // loaded high
  image.writeUInt32LE(0x100000, 0x214);
  image.writeUInt32LE(0x37ffffff, 0x22c);
  image.writeUInt32LE(255, 0x238);
  const code = [
    ...[0xfc, 0xba, ...u16(DEBUG_PORT), 0x8c, 0xc8, 0x2d, ...u16(0x20), 0x8e, 0xd8], // ds = cs - 20h: the image's start
    ...[0xbe, ...u16(0x1f1), 0xb9, ...u16(0x268 - 0x1f1), ...PRINT], // the header
    ...[0x66, 0xa1, ...u16(0x228), 0x66, 0xc1, 0xe8, 4, 0x8e, 0xd8], // mov eax,[cmd_line_ptr]; shr eax,4; mov ds,ax
    ...[0x31, 0xf6, 0xb9, ...u16(64), ...PRINT],
    ...[0xb0, 0x15, 0xba, ...u16(EXIT_PORT), 0xee, 0xf4],
  ];
  Buffer.from(code).copy(image, 0x268);
  writeFileSync(path, image);
}
