import { describe, expect, it } from 'vitest';
import { loadState, saveFields, saveState } from '../../vmstate/fields.ts';
import { StateReader, StateWriter } from '../../vmstate/stream.ts';
import { infoRegisters } from './registers-text.ts';
import { EFLAGS, FIELDS, STATE_BYTES } from './state.ts';
import { QEMU_CPU_FIELDS, QEMU_CPU_SECTION } from './testing/cpu-section.ts';
import { FakeMachine } from './testing/fake-machine.ts';
import { CPU_VMSTATE, captureCommon, captureCpu, emptySavedCpu, restoreCommon, restoreCpu } from './vmstate.ts';

const MCG_CAP = 0x0100_010a;

function expand(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const part of text.split(' ')) {
    if (part[0] === '*') bytes.push(...new Array<number>(Number(part.slice(1))).fill(0));
    else for (let i = 0; i < part.length; i += 2) bytes.push(Number.parseInt(part.slice(i, i + 2), 16));
  }
  return Uint8Array.from(bytes);
}

/** The fields alone: a section's body up to its first subsection. */
function body(saved: ReturnType<typeof emptySavedCpu>): Uint8Array {
  const writer = new StateWriter();
  saveFields(writer, CPU_VMSTATE, saved);
  return writer.finish();
}

describe('section cpu', () => {
  it('has the fields of QEMU in its order', () => {
    expect(Object.keys(CPU_VMSTATE.fields)).toEqual(QEMU_CPU_FIELDS.split(' '));
  });

  it('after reset is the section that QEMU saves, byte for byte', () => {
    const saved = captureCpu(new FakeMachine().state, MCG_CAP);
    const ours = body(saved);
    const theirs = expand(QEMU_CPU_SECTION.reset);
    expect([...ours]).toEqual([...theirs.subarray(0, ours.length)]);
    expect(theirs[ours.length]).toBe(5); // a subsection follows
    const needed = CPU_VMSTATE.subsections.filter((part) => part.needed(saved)).map((part) => part.description.name);
    expect(needed).toEqual(['cpu/poll_control_msr']);
    const writer = new StateWriter();
    saveState(writer, CPU_VMSTATE, saved);
    expect([...writer.finish()]).toEqual([...theirs]);
  });

  it("loads QEMU's own section and saves it back unchanged", () => {
    const m = new FakeMachine();
    const theirs = expand(QEMU_CPU_SECTION.grub);
    const saved = emptySavedCpu();
    const reader = new StateReader(theirs);
    loadState(reader, CPU_VMSTATE, saved);
    expect(reader.remaining).toBe(0);
    restoreCpu(m.state, saved);
    expect(m.state.smbase).toBe(0xa0000);
    const again = captureCpu(m.state, MCG_CAP);
    const ours = body(again);
    expect([...ours]).toEqual([...theirs.subarray(0, ours.length)]);
    expect(again['env.msr_smi_count']).toBe(11n);
    expect(CPU_VMSTATE.subsections.every((part) => part.needed(again))).toBe(true);
  });

  it('carries every architectural byte of the state', () => {
    const m = new FakeMachine().enterProtected(3);
    const { state } = m;
    const engineOwn = [
      'zero',
      'scratch',
      'segmentBytes',
      'segments',
      'budget',
      'record',
      'tlbBase',
      'mode',
      'direction',
    ];
    for (let i = 0; i < STATE_BYTES; i++) if (state.u8[i] === 0 && isFree(i)) state.u8[i] = (i * 7) & 0x7f;
    function isFree(at: number): boolean {
      const wide = [
        'gpr',
        'xmm',
        'mtrrFixed',
        'mtrrPhysBase',
        'mtrrPhysMask',
        'mcBanks',
        'star',
        'pat',
        'sysenterEip',
        'dr',
      ];
      return wide.some((name) => {
        const field = FIELDS[name as keyof typeof FIELDS];
        const bytes = field.count * field.stride;
        const inField = at >= field.offset && at < field.offset + bytes;
        return inField && !(name === 'xmm' && (at - field.offset >= 16 * 64 || (at - field.offset) % 64 >= 32));
      });
    }
    state.setEflags(EFLAGS.CF | EFLAGS.DF | EFLAGS.IF | 0x3002);
    state.interruptShadow = true;
    state.nmiBlocked = true;
    const other = new FakeMachine();
    restoreCpu(other.state, captureCpu(state, MCG_CAP));
    expect(infoRegisters(other.state)).toBe(infoRegisters(state));
    for (const [name, field] of Object.entries(FIELDS)) {
      if (engineOwn.includes(name) || name.startsWith('flag') || name.startsWith('exception') || name === 'apicBase')
        continue;
      const end = field.offset + field.count * field.stride;
      expect([name, ...other.state.u8.subarray(field.offset, end)]).toEqual([
        name,
        ...state.u8.subarray(field.offset, end),
      ]);
    }
  });
});

describe('section cpu_common', () => {
  it('carries halt and pending requests', () => {
    const m = new FakeMachine();
    m.state.halted = true;
    const pending = { irq: true, smi: false, nmi: true, init: false };
    const saved = captureCommon(m.state, pending);
    expect(saved).toEqual({ halted: 1, interrupt_request: 0x202 });
    const other = new FakeMachine();
    expect(restoreCommon(other.state, saved)).toEqual(pending);
    expect(other.state.halted).toBe(true);
  });
});
