import { describe, expect, it } from 'vitest';
import { FW_CFG } from '../hw/nvram/fw-cfg.ts';
import { linuxBootRom, multibootRom } from './boot-rom.ts';
import { bootableRom, finishBootableRom, RomWriter } from './rom-writer.ts';

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

describe('ROM writer', () => {
  it('resolves jumps forwards and backwards, and addresses', () => {
    const rom = new RomWriter()
      .label('start')
      .bytes(0x90)
      .jump8(0x75, 'start')
      .jump8(0xeb, 'end')
      .jump16(0xe8, 'start')
      .address16('end')
      .dword(0xdead_beef)
      .word(0x1234)
      .label('end')
      .finish();
    expect([...rom.subarray(0, 16)]).toEqual([
      0x90, 0x75, 1 /* the ROM's length lies here */, 0xeb, 11, 0xe8, 0xf8, 0xff, 16, 0, 0xef, 0xbe, 0xad, 0xde, 0x34,
      0x12,
    ]);
  });

  it('gives whole blocks of 512 bytes that sum to zero', () => {
    for (const length of [3, 510, 511, 512, 1023]) {
      const writer = new RomWriter().bytes(0x55, 0xaa, 0);
      while (writer.position < length) writer.bytes(0x5a);
      const rom = writer.finish();
      expect(rom.length).toBe(Math.ceil((length + 1) / 512) * 512);
      expect([rom[2], sum(rom)]).toEqual([rom.length / 512, 0]);
      if (length > 3) expect(rom[length - 1]).toBe(0x5a); // the checksum replaces no code
    }
  });

  it('says what is wrong with the code', () => {
    expect(() => new RomWriter().jump8(0xeb, 'nowhere').finish()).toThrow('label nowhere is missing');
    expect(() => new RomWriter().label('a').label('a')).toThrow('label a twice');
    expect(() => new RomWriter().bytes(1, 2, 3).padTo(2)).toThrow('past 2');
    expect(() => new RomWriter().jump8(0xeb, 'far').padTo(200).label('far').finish()).toThrow('jump to far is too far');
  });

  it('begins bootable ROMs with a Plug and Play header that firmware takes', () => {
    const rom = finishBootableRom(bootableRom('Test').label('boot').bytes(0xf4));
    const view = new DataView(rom.buffer);
    const word = (at: number) => view.getUint16(at, true);
    const text = (at: number) => {
      let end = at;
      while (rom[end]) end++;
      return String.fromCharCode(...rom.subarray(at, end));
    };
    expect([word(0), sum(rom)]).toEqual([0xaa55, 0]);
    const pnp = word(0x1a);
    expect(pnp % 16).toBe(0); // firmware looks at paragraph boundaries only
    expect(String.fromCharCode(...rom.subarray(pnp, pnp + 4))).toBe('$PnP');
    const [revision, paragraphs] = [rom[pnp + 4], rom[pnp + 5]!];
    expect([revision, paragraphs]).toEqual([1, 2]);
    expect(sum(rom.subarray(pnp, pnp + paragraphs * 16))).toBe(0);
    expect(word(pnp + 6)).toBe(0); // no further header
    expect([text(word(pnp + 14)), text(word(pnp + 16))]).toEqual(['Terrarium', 'Test']);
    expect(rom[pnp + 21]! & 0x04).toBe(0x04); // an initial program load device
    expect([word(pnp + 22), word(pnp + 24)]).toEqual([0, 0]);
    expect(rom[word(pnp + 26)]).toBe(0xf4); // bootstrap entry vector
    // Entry at offset 3: a jump to `mov ax, 0x20; retf`.
    expect(rom[3]).toBe(0xeb);
    const init = 5 + rom[4]!;
    expect([...rom.subarray(init, init + 4)]).toEqual([0xb8, 0x20, 0x00, 0xcb]);
  });
});

describe('boot ROMs', () => {
  it.each([
    ['linux', linuxBootRom(), [FW_CFG.setupData, FW_CFG.commandLineData, FW_CFG.kernelData, FW_CFG.initrdData]],
    ['multiboot', multibootRom(), [FW_CFG.kernelData, FW_CFG.initrdData]],
  ])('%s is small, sums to zero and names every piece it loads', (_, rom, keys) => {
    expect(rom.length).toBeLessThanOrEqual(1024);
    expect(sum(rom)).toBe(0);
    const words = new Set(
      Array.from({ length: rom.length - 5 }, (_, i) =>
        [0, 2, 4].map((o) => rom[i + o]! | (rom[i + o + 1]! << 8)).join(),
      ),
    );
    const blobs: Record<number, readonly number[]> = {
      [FW_CFG.setupData]: [FW_CFG.setupAddress, FW_CFG.setupSize],
      [FW_CFG.commandLineData]: [FW_CFG.commandLineAddress, FW_CFG.commandLineSize],
      [FW_CFG.kernelData]: [FW_CFG.kernelAddress, FW_CFG.kernelSize],
      [FW_CFG.initrdData]: [FW_CFG.initrdAddress, FW_CFG.initrdSize],
    };
    for (const key of keys) expect(words).toContain([...blobs[key]!, key].join());
  });
});
