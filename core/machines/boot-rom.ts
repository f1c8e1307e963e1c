/** The option ROMs behind `-kernel`: they fetch the pieces through fw_cfg's DMA interface and enter the kernel. Written for this project; the interface is QEMU's (docs: specs/fw_cfg). */
import { FW_CFG } from '../hw/nvram/fw-cfg.ts';
import { bootableRom, finishBootableRom, type RomWriter } from './rom-writer.ts';

const K = FW_CFG;

/** `read32`: AX = key -> EAX = little-endian value. `load`: CS:SI = address, size and data keys -> blob in place. Clobber all but segment registers. */
function emitHelpers(rom: RomWriter): void {
  rom
    .label('read32')
    .bytes(0xba, 0x10, 0x05) // mov dx, 0x510
    .bytes(0xef) // out dx, ax
    .bytes(0x42) // inc dx
    .bytes(0xb9, 4, 0) // mov cx, 4
    .label('nextByte')
    .bytes(0xec) // in al, dx
    .bytes(0x66, 0xc1, 0xc8, 8) // ror eax, 8
    .jump8(0xe2, 'nextByte') // loop
    .bytes(0xc3) // ret
    .label('load')
    .bytes(0x2e, 0xad) // cs lodsw
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x89, 0xc7) // mov edi, eax
    .bytes(0x2e, 0xad)
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x89, 0xc3) // mov ebx, eax
    .bytes(0x2e, 0xad) // ax = data key
    .bytes(0x66, 0x85, 0xdb) // test ebx, ebx
    .jump8(0x74, 'loaded') // jz
    .bytes(0x66, 0x0f, 0xcf, 0x66, 0x57) // bswap edi; push edi          address, low half
    .bytes(0x66, 0x6a, 0x00) // push dword 0                            high half
    .bytes(0x66, 0x0f, 0xcb, 0x66, 0x53) // bswap ebx; push ebx          length
    .bytes(0x66, 0xc1, 0xe0, 16) // shl eax, 16
    .bytes(0x66, 0x83, 0xc8, 0x0a) // or eax, SELECT | READ
    .bytes(0x66, 0x0f, 0xc8, 0x66, 0x50) // bswap eax; push eax          control
    .bytes(0x89, 0xe5) // mov bp, sp
    .bytes(0x66, 0x31, 0xc0) // xor eax, eax
    .bytes(0xba, 0x14, 0x05) // mov dx, 0x514
    .bytes(0x66, 0xef) // out dx, eax                                   high half of the structure's address
    .bytes(0x8c, 0xd0) // mov ax, ss
    .bytes(0x66, 0xc1, 0xe0, 4) // shl eax, 4
    .bytes(0x66, 0x0f, 0xb7, 0xdd) // movzx ebx, bp
    .bytes(0x66, 0x01, 0xd8) // add eax, ebx
    .bytes(0x66, 0x0f, 0xc8) // bswap eax
    .bytes(0xba, 0x18, 0x05) // mov dx, 0x518
    .bytes(0x66, 0xef) // out dx, eax                                   starts the transfer
    .label('transferring')
    .bytes(0x66, 0x8b, 0x46, 0x00) // mov eax, [bp]
    .bytes(0x66, 0x0f, 0xc8) // bswap eax
    .bytes(0x66, 0xa9)
    .dword(0xffff_fffe) // test eax, ~ERROR
    .jump8(0x75, 'transferring') // jnz
    .bytes(0x83, 0xc4, 16) // add sp, 16
    .label('loaded')
    .bytes(0xc3);
}

function emitBlob(rom: RomWriter, label: string, address: number, size: number, data: number): void {
  rom.label(label).word(address).word(size).word(data);
}

function emitLoad(rom: RomWriter, table: string): void {
  rom.bytes(0xbe).address16(table).jump16(0xe8, 'load'); // mov si, table; call load
}

/** Enters the real-mode part of a bzImage (Linux: Documentation/arch/x86/boot.rst, "Running the kernel"). */
export function linuxBootRom(): Uint8Array {
  const rom = bootableRom('Linux loader');
  rom.label('boot').bytes(0xfa, 0xfc); // cli; cld
  for (const table of ['setup', 'commandLine', 'kernel', 'initrd']) emitLoad(rom, table);
  rom
    .bytes(0xb8)
    .word(K.commandLineAddress)
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x89, 0xc7) // mov edi, eax
    .bytes(0xb8)
    .word(K.setupAddress)
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x29, 0xc7) // sub edi, eax
    .bytes(0x66, 0x83, 0xef, 16) // sub edi, 16        stack below the command line
    .bytes(0x66, 0xc1, 0xe8, 4) // shr eax, 4
    .bytes(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8) // mov ds, es, fs, gs = ax
    .bytes(0x8e, 0xd0, 0x66, 0x89, 0xfc) // mov ss, ax; mov esp, edi
    .bytes(0x83, 0xc0, 0x20) // add ax, 0x20
    .bytes(0x50, 0x6a, 0x00) // push ax; push 0
    .bytes(0x66, 0x31, 0xc0, 0x66, 0x31, 0xdb, 0x66, 0x31, 0xc9, 0x66, 0x31, 0xd2) // eax ebx ecx edx = 0
    .bytes(0x66, 0x31, 0xf6, 0x66, 0x31, 0xff, 0x66, 0x31, 0xed) // esi edi ebp = 0
    .bytes(0xcb); // retf
  emitHelpers(rom);
  emitBlob(rom, 'setup', K.setupAddress, K.setupSize, K.setupData);
  emitBlob(rom, 'commandLine', K.commandLineAddress, K.commandLineSize, K.commandLineData);
  emitBlob(rom, 'kernel', K.kernelAddress, K.kernelSize, K.kernelData);
  emitBlob(rom, 'initrd', K.initrdAddress, K.initrdSize, K.initrdData);
  return finishBootableRom(rom);
}

/** Where the Multiboot information lies in the blob at `initrdAddress`, and how much room its memory map has. */
export const MULTIBOOT_INFO = { bytes: 0x58, mmapEntries: 32, mmapOffset: 0x58 } as const;
const MMAP_ENTRY_BYTES = 24;

/**
 * Enters a Multiboot 0.6.96 kernel: fills the memory fields of the information structure from INT 15h, switches to flat protected
 * mode, EAX = magic, EBX = information. The structure lies at the start of the "initrd" blob, below 1 MiB.
 */
export function multibootRom(): Uint8Array {
  const rom = bootableRom('Multiboot loader');
  rom.label('boot').bytes(0xfa, 0xfc);
  for (const table of ['kernel', 'initrd']) emitLoad(rom, table);
  rom
    .bytes(0xb8)
    .word(K.initrdAddress)
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x50) // push eax                       information's address
    .bytes(0x66, 0xc1, 0xe8, 4) // shr eax, 4
    .bytes(0x8e, 0xc0) // mov es, ax
    // mem_lower (KiB) from INT 12h
    .bytes(0xfb, 0xcd, 0x12) // sti; int 0x12
    .bytes(0x66, 0x0f, 0xb7, 0xc0) // movzx eax, ax
    .bytes(0x26, 0x66, 0xa3)
    .word(4) // mov es:[4], eax
    // Memory map: entries are {size, base, length, type}; INT 15h E820 fills what follows `size`.
    .bytes(0xbf)
    .word(MULTIBOOT_INFO.mmapOffset + 4) // mov di, first entry + 4
    .bytes(0x66, 0x31, 0xdb) // xor ebx, ebx
    .label('nextEntry')
    .bytes(0x66, 0xb8)
    .dword(0xe820)
    .bytes(0x66, 0xba)
    .dword(0x534d_4150) // 'SMAP'
    .bytes(0x66, 0xb9)
    .dword(20)
    .bytes(0xcd, 0x15)
    .jump8(0x72, 'mapDone') // jc
    .bytes(0x26, 0x66, 0xc7, 0x45, 0xfc)
    .dword(20) // mov dword es:[di-4], 20
    // The RAM entry that begins at 1 MiB gives mem_upper.
    .bytes(0x26, 0x66, 0x81, 0x3d)
    .dword(0x10_0000) // cmp dword es:[di], 1 MiB
    .jump8(0x75, 'notUpper')
    .bytes(0x26, 0x66, 0x83, 0x7d, 4, 0) // cmp dword es:[di+4], 0
    .jump8(0x75, 'notUpper')
    .bytes(0x26, 0x66, 0x8b, 0x45, 8) // mov eax, es:[di+8]
    .bytes(0x66, 0xc1, 0xe8, 10) // shr eax, 10
    .bytes(0x26, 0x66, 0xa3)
    .word(8) // mov es:[8], eax
    .label('notUpper')
    .bytes(0x83, 0xc7, MMAP_ENTRY_BYTES) // add di, 24
    .bytes(0x66, 0x85, 0xdb) // test ebx, ebx
    .jump8(0x74, 'mapDone')
    .bytes(0x81, 0xff)
    .word(MULTIBOOT_INFO.mmapOffset + 4 + MULTIBOOT_INFO.mmapEntries * MMAP_ENTRY_BYTES) // cmp di, end
    .jump8(0x72, 'nextEntry') // jb
    .label('mapDone')
    .bytes(0x81, 0xef)
    .word(MULTIBOOT_INFO.mmapOffset + 4) // sub di, first entry + 4
    .bytes(0x66, 0x0f, 0xb7, 0xff) // movzx edi, di
    .bytes(0x26, 0x66, 0x89, 0x3e)
    .word(44) // mov es:[mmap_length], edi
    .bytes(0xfa) // cli
    .bytes(0xb8)
    .word(K.kernelEntry)
    .jump16(0xe8, 'read32')
    .bytes(0x66, 0x89, 0xc7) // mov edi, eax            entry
    .bytes(0x66, 0x5b) // pop ebx                       information
    // A20, then protected mode with flat segments. The descriptor table and the far jump need the ROM's linear address.
    .bytes(0xe4, 0x92, 0x0c, 0x02, 0x24, 0xfe, 0xe6, 0x92) // in al, 0x92; or al, 2; and al, ~1; out 0x92, al
    .bytes(0x66, 0x31, 0xc0, 0x8c, 0xc8, 0x66, 0xc1, 0xe0, 4) // xor eax, eax; mov ax, cs; shl eax, 4
    .bytes(0x66, 0x50) // push eax
    .bytes(0x66, 0x05)
    .address16('gdt')
    .word(0) // add eax, gdt
    .bytes(0x66, 0x50) // push eax                      base
    .bytes(0x6a, 0x17) // push 23                       limit
    .bytes(0x89, 0xe5, 0x0f, 0x01, 0x56, 0x00) // mov bp, sp; lgdt [bp]
    .bytes(0x83, 0xc4, 6) // add sp, 6
    .bytes(0x66, 0x58) // pop eax                       ROM base
    .bytes(0x66, 0x05)
    .address16('protected')
    .word(0) // add eax, protected
    .bytes(0x66, 0x6a, 0x08, 0x66, 0x50) // push dword 8; push eax
    .bytes(0x0f, 0x20, 0xc0, 0x0c, 1, 0x0f, 0x22, 0xc0) // mov eax, cr0; or al, 1; mov cr0, eax
    .bytes(0x66, 0xcb) // retf (32-bit operands)
    .label('protected') // 32-bit code from here
    .bytes(0x66, 0xb8, 0x10, 0x00) // mov ax, 0x10
    .bytes(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd0) // ds es fs gs ss
    .bytes(0xb8)
    .dword(0x2bad_b002)
    .bytes(0xff, 0xe7); // jmp edi
  emitHelpers(rom);
  emitBlob(rom, 'kernel', K.kernelAddress, K.kernelSize, K.kernelData);
  emitBlob(rom, 'initrd', K.initrdAddress, K.initrdSize, K.initrdData);
  rom
    .label('gdt')
    .dword(0)
    .dword(0)
    .dword(0x0000_ffff)
    .dword(0x00cf_9a00) // 0x08: flat code
    .dword(0x0000_ffff)
    .dword(0x00cf_9200); // 0x10: flat data
  return finishBootableRom(rom);
}
