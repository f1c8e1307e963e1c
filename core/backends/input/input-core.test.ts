import { describe, expect, it } from 'vitest';
import { InputCore, type InputEvent, type InputEventKind, LED } from './input-core.ts';
import { isQKeyCode, keyOfKeysym, keyOfQnum, Q_KEY_CODES, qnumOfKey, set1Bytes } from './qkeycodes.ts';

function bench() {
  const timers: { at: number; callback: () => void }[] = [];
  let now = 0;
  const input = new InputCore({ after: (ms, callback) => timers.push({ at: now + ms, callback }) });
  const seen: string[] = [];
  const show = (event: InputEvent) =>
    event.type === 'key' ? `${now}:${event.down ? '+' : '-'}${event.key}` : `${now}:${event.type}`;
  return {
    input,
    seen,
    device: (name: string, ...mask: InputEventKind[]) =>
      input.register({
        name,
        mask,
        event: (event) => seen.push(`${name}@${show(event)}`),
        sync: () => seen.push(`${name} sync`),
      }),
    run: (ms: number) => {
      for (const end = now + ms; ; ) {
        const next = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) {
          now = end;
          return;
        }
        timers.splice(timers.indexOf(next), 1);
        now = next.at;
        next.callback();
      }
    },
  };
}

describe('input core', () => {
  it('the first handler for a kind gets the event; activation changes the order', () => {
    const { input, seen, device } = bench();
    const ps2 = device('ps2', 'rel', 'btn');
    const tablet = device('tablet', 'abs', 'btn');
    expect(input.isAbsolute).toBe(false);
    let switches = 0;
    input.onMouseMode(() => switches++);
    tablet.activate();
    expect([input.isAbsolute, switches]).toEqual([true, 1]);
    input.sendButton('left', true);
    input.sync();
    expect(seen).toEqual(['tablet@0:btn', 'tablet sync']);
    expect(input.mice).toEqual([
      { name: 'tablet', index: 2, absolute: true, current: true },
      { name: 'ps2', index: 1, absolute: false, current: false },
    ]);
    expect(input.activateMouse(ps2.index)).toBe(true);
    expect([input.isAbsolute, input.activateMouse(9)]).toEqual([false, false]);
    ps2.unregister();
    expect(input.isAbsolute).toBe(true);
  });
  it('a keyboard is not a mouse', () => {
    const { input, device } = bench();
    const keyboard = device('keyboard', 'key');
    expect([input.mice, input.activateMouse(keyboard.index)]).toEqual([[], false]);
  });
  it('send-key presses in order, holds, and releases in reverse', () => {
    const { input, seen, device, run } = bench();
    device('k', 'key');
    input.sendKeys(['ctrl', 'alt', 'delete'], 50);
    input.sendKey('a', true); // waits for its turn
    run(1000);
    expect(seen.filter((line) => !line.endsWith('sync'))).toEqual(
      ['0:+ctrl', '50:+alt', '100:+delete', '150:-delete', '200:-alt', '250:-ctrl', '300:+a'].map(
        (line) => `k@${line}`,
      ),
    );
    input.sendKey('a', false); // the queue is empty: at once
    expect(seen.at(-2)).toBe('k@1000:-a');
  });
  it('the queue does not grow without end', () => {
    const { input, seen, device, run } = bench();
    device('k', 'key');
    for (let i = 0; i < 5000; i++) input.sendKeys(['a']);
    run(100_000);
    expect(seen.length).toBeLessThan(1100);
    expect(seen.length).toBeGreaterThan(600);
  });
  it('scales absolute positions and keeps them inside', () => {
    const { input } = bench();
    const values: number[] = [];
    input.register({ name: 't', mask: ['abs'], event: (event) => event.type === 'abs' && values.push(event.value) });
    for (const x of [-5, 0, 639, 5000]) input.sendAbs('x', x, 640);
    input.sendAbs('x', 0, 1);
    expect(values).toEqual([0, 0, 0x7fff, 0x7fff, 0]);
  });
  it('tells about LEDs', () => {
    const { input } = bench();
    const seen: number[] = [];
    input.onLedState((leds) => seen.push(leds));
    input.putLedState(LED.capsLock | 0x40);
    expect([seen, input.ledState]).toEqual([[4], 4]);
  });
});

describe('key tables', () => {
  it('every key comes back from its number, but for two that share one', () => {
    const lost = Q_KEY_CODES.filter((key) => key !== 'unmapped' && keyOfQnum(qnumOfKey(key)) !== key);
    expect(lost).toEqual(['asterisk', 'compose']);
    expect([isQKeyCode('kp_enter'), isQKeyCode('Kp_enter'), keyOfQnum(0xff)]).toEqual([true, false, 'unmapped']);
  });
  it('every ASCII character has a key', () => {
    const typed = Array.from({ length: 95 }, (_, i) => keyOfKeysym(0x20 + i));
    expect(typed.every((entry) => entry !== null)).toBe(true);
    expect(keyOfKeysym(0x3f)).toEqual({ key: 'slash', shift: true });
    expect(keyOfKeysym(0x3c)).toEqual({ key: 'comma', shift: true });
    expect(keyOfKeysym(0x2c)).toEqual({ key: 'comma', shift: false });
  });
  it('scancode set 1', () => {
    expect(set1Bytes('a', true)).toEqual([0x1e]);
    expect(set1Bytes('a', false)).toEqual([0x9e]);
    expect(set1Bytes('up', false)).toEqual([0xe0, 0xc8]);
    expect(set1Bytes('pause', true)).toEqual([0xe1, 0x1d, 0x45]);
    expect(set1Bytes('unmapped', true)).toEqual([]);
  });
});
