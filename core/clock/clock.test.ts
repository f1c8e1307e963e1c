import { describe, expect, it } from 'vitest';
import { Clocks, ManualTime } from './clock.ts';

function wound() {
  const time = new ManualTime();
  const clocks = new Clocks(time);
  clocks.start();
  return { time, clocks, virtual: clocks.virtual };
}

describe('timers', () => {
  it('fire in order of expiry, and in the order of arming where that is the same', () => {
    const { time, virtual } = wound();
    const fired: string[] = [];
    for (const [name, at] of [
      ['late', 300],
      ['early', 100],
      ['same 1', 200],
      ['same 2', 200],
      ['never', 1000],
    ] as const)
      virtual.newTimer(() => fired.push(name)).modify(at);
    time.ns = 99;
    expect(virtual.runTimers()).toBe(false);
    time.ns = 300;
    expect(virtual.runTimers()).toBe(true);
    expect(fired).toEqual(['early', 'same 1', 'same 2', 'late']);
    expect(virtual.deadlineNs).toBe(1000);
  });

  it('are not pending in their own callback, and may be armed again there', () => {
    const { time, virtual } = wound();
    const seen: [boolean, number][] = [];
    const timer = virtual.newTimer(() => {
      seen.push([timer.isPending, virtual.now()]);
      timer.modify(virtual.now() + 10);
    });
    timer.modify(10);
    for (time.ns = 0; time.ns <= 30; time.ns += 5) virtual.runTimers();
    expect(seen).toEqual([
      [false, 10],
      [false, 20],
      [false, 30],
    ]);
    expect(timer.expireNs).toBe(40);
  });

  it('that arm themselves for the past fire once per call and starve nobody', () => {
    const { time, virtual } = wound();
    const fired: string[] = [];
    const greedy = virtual.newTimer(() => {
      fired.push('greedy');
      greedy.modify(0);
    });
    greedy.modify(1);
    virtual.newTimer(() => fired.push('patient')).modify(5);
    time.ns = 10;
    virtual.runTimers();
    expect(fired).toEqual(['greedy', 'patient']);
    virtual.runTimers();
    expect(fired).toEqual(['greedy', 'patient', 'greedy']);
  });

  it('may be put off or taken back by a callback before their turn', () => {
    const { time, virtual } = wound();
    const fired: string[] = [];
    const off = virtual.newTimer(() => fired.push('off'));
    const gone = virtual.newTimer(() => fired.push('gone'));
    virtual
      .newTimer(() => {
        off.modify(100);
        gone.delete();
      })
      .modify(1);
    off.modify(2);
    gone.modify(3);
    time.ns = 10;
    virtual.runTimers();
    expect(fired).toEqual([]);
    expect([off.isPending, gone.isPending, gone.expireNs]).toEqual([true, false, -1]);
    gone.delete(); // once more is no harm
    time.ns = 100;
    virtual.runTimers();
    expect(fired).toEqual(['off']);
  });

  it('take whole nanoseconds, never less than none, and no NaN', () => {
    const { virtual } = wound();
    const timer = virtual.newTimer(() => {});
    timer.modify(-5);
    expect(timer.expireNs).toBe(0);
    timer.modify(10.9);
    expect(timer.expireNs).toBe(10);
    expect(() => timer.modify(Number.NaN)).toThrow('NaN');
  });

  it('tell of an earlier deadline only', () => {
    const { virtual } = wound();
    let told = 0;
    virtual.onDeadlineChanged = () => void told++;
    virtual.newTimer(() => {}).modify(100);
    virtual.newTimer(() => {}).modify(200);
    expect(told).toBe(1);
    virtual.newTimer(() => {}).modify(50);
    expect(told).toBe(2);
  });
});

describe('clocks', () => {
  it('hold virtual time while stopped, whatever the host’s clock does', () => {
    const { time, clocks, virtual } = wound();
    time.ns = 1000;
    expect(virtual.now()).toBe(1000);
    clocks.stop();
    clocks.stop();
    time.ns = 5000;
    expect([virtual.now(), clocks.realtime.now()]).toEqual([1000, 5000]);
    clocks.start();
    time.ns = 5500;
    clocks.start(); // starting twice must not lose what has passed
    time.ns = 6000;
    expect(virtual.now()).toBe(2000);
  });

  it('fire no virtual timer while stopped, though it be due', () => {
    const { time, clocks, virtual } = wound();
    const fired: string[] = [];
    time.ns = 100;
    clocks.stop();
    virtual.newTimer(() => fired.push('virtual')).modify(50);
    clocks.realtime.newTimer(() => fired.push('realtime')).modify(60);
    for (const clock of [virtual, clocks.realtime]) clock.runTimers();
    expect(fired).toEqual(['realtime']);
    clocks.start();
    virtual.runTimers();
    expect(fired).toEqual(['realtime', 'virtual']);
  });

  it('can be set, running or not', () => {
    const { time, clocks, virtual } = wound();
    time.ns = 100;
    clocks.setVirtualNs(5000);
    time.ns = 150;
    expect(virtual.now()).toBe(5050);
    clocks.stop();
    clocks.setVirtualNs(1);
    expect(virtual.now()).toBe(1);
  });

  it('has the host’s wall clock apart from the others', () => {
    const { time, clocks } = wound();
    time.ns = 1e9;
    expect(clocks.host.now()).toBe(time.wallBaseNs + 1e9);
    expect(clocks.byType('host')).toBe(clocks.host);
  });
});
