import { describe, expect, it } from 'vitest';
import { buttonMask, CHORDS, HostKey } from './keys.ts';

describe('the host key', () => {
  it('pressed and released alone lets go, however long it repeats', () => {
    const key = new HostKey('ControlRight');
    expect(key.event('keydown', 'ControlRight')).toBe('swallow');
    expect(key.event('keydown', 'ControlRight')).toBe('swallow');
    expect(key.event('keyup', 'ControlRight')).toBe('release');
  });

  it('with another key orders, and does not let go afterwards', () => {
    const key = new HostKey('ControlRight');
    key.event('keydown', 'ControlRight');
    expect(key.event('keydown', 'KeyF')).toBe('fullscreen');
    expect(key.event('keyup', 'KeyF')).toBe('pass');
    expect(key.event('keyup', 'ControlRight')).toBe('swallow');
    key.event('keydown', 'ControlRight');
    expect(key.event('keydown', 'Delete')).toBe('ctrlAltDel');
    expect(key.event('keydown', 'KeyX')).toBe('swallow');
  });

  it('leaves all other keys to the guest', () => {
    const key = new HostKey('ControlRight');
    expect(key.event('keydown', 'ControlLeft')).toBe('pass');
    expect(key.event('keyup', 'ControlRight')).toBe('swallow');
    key.event('keydown', 'ControlRight');
    key.reset();
    expect(key.event('keydown', 'KeyF')).toBe('pass');
  });
});

describe('what goes to the guest', () => {
  it('buttons in RFB order', () => {
    expect([0, 1, 2, 4, 7].map(buttonMask)).toEqual([0, 1, 4, 2, 7]);
  });

  it('chords in names that the contract takes', () => {
    for (const chord of CHORDS) {
      if (chord === 'separator') continue;
      expect(chord.keys.length).toBeLessThanOrEqual(8);
      for (const name of chord.keys) expect(name).toMatch(/^[a-z0-9_]{1,20}$/);
    }
  });
});
