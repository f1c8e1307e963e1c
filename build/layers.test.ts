/** The layering check itself: each kind of breach is seen, and what is allowed passes. */
import { describe, expect, it } from 'vitest';
import { breachesOf, readRules } from './layers.mjs';

const rules = readRules();
const check = (file: string, source: string) => breachesOf(file, source, rules);

describe('imports that the rooms refuse', () => {
  it.each([
    ['core/util/a.ts', "import '../qom/object.ts';", 'core/qom is below core/util'],
    ['core/hw/timer/i8254.ts', "import { Pic } from '../intc/i8259.ts';", 'blind to each other'],
    ['core/hw/core/bus.ts', "import { x } from '../pci/pci.ts';", 'core/hw is below core/hw/core'],
    ['core/target/x86/cpu.ts', "import { x } from '../../hw/intc/i8259.ts';", 'a target knows no device'],
    ['core/hw/rtc/mc146818.ts', "import type { C } from '../../target/x86/state.ts';", 'core/target is below'],
    ['core/machines/pc.ts', "import { x } from '../accel/tcg/x.ts';", 'a board knows no accelerator'],
    ['core/monitor/qmp.ts', "import { x } from '../hw/ide/ide-cd.ts';", 'name concrete devices'],
    ['core/clock/clock.ts', "import { hrtime } from 'node:process';", 'host-neutral'],
    ['core/clock/clock.ts', "const x = await import('node:fs');", 'host-neutral'],
    ['core/clock/clock.ts', "type X = import('../node/main.ts').X;", 'core/node is below'],
    ['core/system/vl.ts', "export * from '../node/main.ts';", 'core/node is below core/system'],
    ['core/node/main.ts', "import { z } from 'zod';", 'without packages'],
    ['core/elsewhere/x.ts', "import '../util/errors.ts';", 'in no row'],
    ['core/qom/type.ts', "import '../../electron/api/contract.ts';", 'host-neutral'],
    [
      'electron/machines/argv.ts',
      "import { Machine } from '../../core/machine.ts';",
      'at most option and type metadata',
    ],
    ['electron/api/contract.ts', "import { x } from '../library/library.ts';", 'must stand alone'],
    ['renderer/main.tsx', "import { schema } from '../electron/api/contract.ts';", 'import type'],
    ['renderer/main.tsx', "import type { Library } from '../electron/library/library.ts';", 'import type'],
    ['renderer/main.tsx', "import { z } from 'zod';", 'nothing else'],
  ])('%s: %s', (file, source, why) => {
    const found = check(file, source);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${file}:1: `);
    expect(found[0]).toContain(why);
  });
});

describe('imports that the rooms allow', () => {
  it.each([
    ['core/qom/object.ts', "import { bit } from '../util/bits.ts';"],
    ['core/hw/timer/i8254.ts', "import { Device } from '../core/device.ts';"],
    ['core/hw/timer/i8254.ts', "import { x } from './other.ts';"],
    ['core/hw/catalog.ts', "import { i8254Type } from './timer/i8254.ts';"],
    ['core/machines/pc.ts', "import { i8254Type } from '../hw/timer/i8254.ts';"],
    ['core/node/main.ts', "import { readFileSync } from 'node:fs';"],
    ['core/clock/clock.test.ts', "import { readFileSync } from 'node:fs';"],
    ['electron/machines/argv.ts', "import { x } from '../../core/options/quote.ts';"],
    ['renderer/main.tsx', "import type { ApiClient } from '../electron/api/contract.ts';"],
    ['renderer/main.tsx', "import RFB from '@novnc/novnc'; import { createRoot } from 'react-dom/client';"],
  ])('%s: %s', (file, source) => {
    expect(check(file, source)).toEqual([]);
  });
});
