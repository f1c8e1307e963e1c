import { describe, expect, it } from 'vitest';
import { EngineLog, engineWords, eventWords, withoutFeatureWarnings } from './log-words.ts';

describe('the log', () => {
  it('tells events in words, unknown ones by name, and nothing about who looks at the screen', () => {
    expect(eventWords('RESET', { guest: true, reason: 'guest-reset' })).toEqual({
      level: 'info',
      text: 'The guest has restarted the machine. [RESET]',
    });
    expect(eventWords('RESET', { guest: false })?.text).toBe('The machine is reset. [RESET]');
    expect(eventWords('DEVICE_TRAY_MOVED', { device: '', id: 'ide1-0', 'tray-open': true })?.text).toBe(
      'The tray of ide1-0 is opened. [DEVICE_TRAY_MOVED]',
    );
    expect(eventWords('RTC_CHANGE', { offset: 3, 'qom-path': '/machine' })).toEqual({
      level: 'info',
      text: 'RTC_CHANGE offset=3 qom-path=/machine',
    });
    expect(eventWords('GUEST_PANICKED', { action: 'pause', info: { type: 'hyper-v' } })).toEqual({
      level: 'error',
      text: 'GUEST_PANICKED action=pause info={"type":"hyper-v"}',
    });
    for (const event of ['VNC_CONNECTED', 'VNC_INITIALIZED', 'VNC_DISCONNECTED'])
      expect(eventWords(event, { server: {}, client: {} })).toBeUndefined();
  });

  it('shows what the engine prints without what every line begins with', () => {
    expect(engineWords("terrarium-x86_64: -cpu max: warning: host doesn't support it")).toEqual({
      level: 'warning',
      text: "-cpu max: host doesn't support it",
    });
    expect(engineWords('/usr/bin/qemu-system-x86_64: info: ready')).toEqual({ level: 'info', text: 'ready' });
    expect(engineWords('terrarium-x86_64: error: lost')).toEqual({ level: 'error', text: 'lost' });
    expect(engineWords('terrarium-x86_64: -m 9: bad size')).toEqual({ level: 'warning', text: '-m 9: bad size' });
    expect(engineWords('Error: x')).toEqual({ level: 'warning', text: 'Error: x' });
  });

  it('says once, in one entry, what the processor lacks', () => {
    const entries: string[] = [];
    const log = new EngineLog(({ text }) => entries.push(text));
    const lacks = (bit: string) => log.line(`terrarium-x86_64: warning: TCG doesn't support requested feature: ${bit}`);
    lacks('CPUID.01H:EDX.fpu [bit 0]');
    lacks('CPUID.01H:ECX.sse4.1 [bit 19]');
    expect(entries).toEqual([]);
    log.line('terrarium-x86_64: warning: something else');
    lacks('CPUID.01H:EDX.mmx [bit 23]');
    log.flush();
    log.flush();
    const asks = 'The processor model asks for features that this engine does not have:';
    expect(entries).toEqual([`${asks} fpu, sse4.1.`, 'something else', `${asks} mmx.`]);
  });

  it('leaves such lines out of the report of a failure, and nothing else', () => {
    const warning = "terrarium-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:EDX.fpu [bit 0]\n";
    const reason = 'terrarium-x86_64: warning: odd\nterrarium-x86_64: lost\n';
    expect(withoutFeatureWarnings(warning + warning + reason)).toBe(reason);
    expect(withoutFeatureWarnings(warning)).toBe('');
  });
});
