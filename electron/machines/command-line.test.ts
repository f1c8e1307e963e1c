import { describe, expect, it } from 'vitest';
import { sampleMachine } from '../../tests/manager/sample-machine.ts';
import { argumentsOf, commandLine, escapeValue } from './command-line.ts';

const ENDPOINTS = { qmp: '/r/qmp', monitor: '/r/monitor', vnc: '/r/vnc', serial: ['/r/s0', '/r/s1', '/r/s2', '/r/s3'] };

describe('commandLine', () => {
  it('writes a machine in the split form', () => {
    const machine = sampleMachine({
      name: 'First, light',
      storage: [
        { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, path: '/disks/a,b.img', format: 'raw' },
        { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: '/iso/grub.iso' },
        { kind: 'cdrom', id: 'ide1-1', bus: 1, unit: 1, path: null },
      ],
      extraArguments: ['-d', 'guest_errors'],
    });
    expect(argumentsOf(commandLine(machine, { endpoints: ENDPOINTS }))).toEqual([
      ...['-name', 'guest=First,, light', '-uuid', machine.id, '-machine', 'pc', '-accel', 'tcg', '-cpu', 'qemu32'],
      ...['-smp', '1', '-m', '64', '-rtc', 'base=utc', '-boot', 'order=dc,menu=off', '-nodefaults'],
      ...['-vga', 'std', '-display', 'none'],
      ...['-drive', 'file=/disks/a,,b.img,if=none,id=drive-ide0-0,format=raw'],
      ...['-device', 'ide-hd,bus=ide.0,unit=0,drive=drive-ide0-0,id=ide0-0'],
      ...['-drive', 'file=/iso/grub.iso,if=none,media=cdrom,id=drive-ide1-0,readonly=on,format=raw'],
      ...['-device', 'ide-cd,bus=ide.1,unit=0,drive=drive-ide1-0,id=ide1-0'],
      ...['-drive', 'if=none,media=cdrom,id=drive-ide1-1,readonly=on'],
      ...['-device', 'ide-cd,bus=ide.1,unit=1,drive=drive-ide1-1,id=ide1-1'],
      ...['-chardev', 'socket,id=qmp,path=/r/qmp,server=on,wait=off', '-mon', 'chardev=qmp,mode=control'],
      ...['-chardev', 'socket,id=monitor,path=/r/monitor,server=on,wait=off', '-mon', 'chardev=monitor,mode=readline'],
      ...['-vnc', 'unix:/r/vnc'],
      ...['-chardev', 'socket,id=serial0,path=/r/s0,server=on,wait=off', '-serial', 'chardev:serial0'],
      ...['-d', 'guest_errors'],
    ]);
  });

  it('names for each part what it comes from, so that a form can show it there', () => {
    const machine = sampleMachine({ storage: [{ kind: 'cdrom', id: 'cd', bus: 1, unit: 0, path: null }] });
    const { parts } = commandLine(machine);
    const words = parts.find((part) => part.origin === 'storage.0')?.words;
    expect(words).toEqual(['-drive', 'if=none,media=cdrom,id=drive-cd,readonly=on', '-device', expect.any(String)]);
    expect(parts.find((part) => part.origin === 'memoryMiB')?.words).toEqual(['-m', '64']);
  });

  it('quotes what a shell would take apart', () => {
    const machine = sampleMachine({ name: "it's $HOME", extraArguments: ['', '*'] });
    const { text } = commandLine(machine, { program: 'my emulator' });
    expect(text).toMatch(/^'my emulator' -name 'guest=it'\\''s \$HOME' -uuid /);
    expect(text).toMatch(/ '' '\*'$/);
  });

  it('says how the machine ends', () => {
    const power = { onGuestReboot: 'powerOff', onGuestShutdown: 'pause' } as const;
    expect(argumentsOf(commandLine(sampleMachine({ power }), { paused: true })).slice(-3)).toEqual([
      '-no-reboot',
      '-no-shutdown',
      '-S',
    ]);
  });
});

it('escapeValue doubles commas and nothing else', () => {
  expect(escapeValue('a,b,,c=d')).toBe('a,,b,,,,c=d');
});
