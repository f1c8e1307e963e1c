/** Local and I/O APIC as `info lapic` and `info pic` show them, in QEMU's layout. */
import type { Apic } from './apic.ts';
import { COMMAND, LVT, LVT_BITS, MODE, REGISTER, SHORTHAND, SPURIOUS } from './apic-registers.ts';
import { ENTRY, type IoApic } from './ioapic.ts';

const hex = (value: number, digits: number) => `0x${(value >>> 0).toString(16).padStart(digits, '0')}`;
const ENTRY_MODES: readonly string[] = ['Fixed', '...', 'SMI', '...', 'NMI', 'INIT', '...', 'ExtINT'];
const TIMER_MODES: readonly string[] = ['one-shot', 'periodic', 'tsc-deadline', '...'];
const PIN_MODES: readonly string[] = ['fixed', 'lowest', 'smi', '...', 'nmi', 'init', '...', 'extint'];
const SHORTHANDS: Readonly<Record<number, string>> = {
  [SHORTHAND.none]: 'no-shorthand',
  [SHORTHAND.self]: 'self',
  [SHORTHAND.all]: 'all-self',
  [SHORTHAND.others]: 'all',
};

function entryLine(name: string, entry: number, isTimer = false): string {
  const mode = (entry >>> LVT_BITS.modeShift) & 7;
  const words = [
    (entry & LVT_BITS.activeLow ? 'active-lo' : 'active-hi').padEnd(9),
    (entry & LVT_BITS.level ? 'level' : 'edge').padEnd(5),
    (entry & LVT_BITS.masked ? 'masked' : '').padEnd(6),
    (entry & LVT_BITS.pending ? 'pending' : '').padEnd(7),
    (isTimer ? TIMER_MODES[(entry >>> LVT_BITS.timerModeShift) & 3]! : '').padEnd(12),
    ENTRY_MODES[mode]!.padEnd(6),
  ];
  const vector = mode === MODE.nmi || mode === MODE.smi || mode === MODE.init ? '' : ` (vec ${entry & 0xff})`;
  return `${name}\t ${hex(entry, 8)} ${words.join(' ')}${vector}\n`;
}

function vectorsText(name: string, words: readonly number[], levels: readonly number[] | null): string {
  let text = `${name}\t`;
  let isEmpty = true;
  for (let vector = 255; vector >= 0; vector--) {
    if (!((words[vector >>> 5]! >>> (vector & 31)) & 1)) continue;
    isEmpty = false;
    text += ` ${vector}`;
    if (levels && (levels[vector >>> 5]! >>> (vector & 31)) & 1) text += '(level)';
  }
  return `${text}${isEmpty ? ' (none)' : ''}\n`;
}

function destinationText(command: number, high: number): string {
  if ((command >>> COMMAND.shorthandShift) & 3) return '';
  const destination = high >>> 24;
  return command & COMMAND.logical
    ? ` mask ${destination.toString(2).padStart(8, '0')} (logical)`
    : ` cpu ${destination} (APIC ID)`;
}

/** `info lapic`. */
export function lapicText(apic: Apic, cpu: number): string {
  const { state } = apic;
  const { lvt } = state;
  const [command = 0, commandHigh = 0] = state.icr;
  const divider = 2 ** state.count_shift;
  const initial = state.initial_count;
  let text = `dumping local APIC state for CPU ${cpu} \n\n`;
  text += entryLine('LVT0', lvt[LVT.lint0]!);
  text += entryLine('LVT1', lvt[LVT.lint1]!);
  text += entryLine('LVTPC', lvt[LVT.performance]!);
  text += entryLine('LVTERR', lvt[LVT.error]!);
  text += entryLine('LVTTHMR', lvt[LVT.thermal]!);
  text += entryLine('LVTT', lvt[LVT.timer]!, true);
  const current = apic.readRegister(REGISTER.currentCount);
  // The divider that the register holds: at reset it reads 2, although nothing has been counted yet.
  const shown = state.divide_conf === 0 ? 2 : divider;
  text += `Timer\t DCR=0x${state.divide_conf.toString(16)} (divide by ${shown}) initial_count = ${initial} current_count = ${current}\n`;
  const isOn = (state.spurious_vec & SPURIOUS.enable) !== 0;
  text += `SPIV\t ${hex(state.spurious_vec, 8)} APIC ${isOn ? 'enabled' : 'disabled'}, focus=${state.spurious_vec & 0x200 ? 'on' : 'off'}, spurious vec ${state.spurious_vec & 0xff}\n`;
  text += `ICR\t ${hex(command, 8)} ${command & COMMAND.logical ? 'logical' : 'physical'} ${command & COMMAND.level ? 'level' : 'edge'} ${command & COMMAND.assert ? 'assert' : 'de-assert'} ${SHORTHANDS[(command >>> COMMAND.shorthandShift) & 3]}\n`;
  text += `ICR2\t ${hex(commandHigh, 8)}${destinationText(command, commandHigh)}\n`;
  text += `ESR\t ${hex(state.esr, 8)}\n`;
  text += vectorsText('ISR', state.isr, state.tmr);
  text += vectorsText('IRR', state.irr, state.tmr);
  const format = state.dest_mode;
  text += `\nAPR ${hex(apic.arbitrationPriority, 2)} TPR ${hex(state.tpr, 2)} DFR ${hex(format, 2)} LDR ${hex(state.log_dest, 2)}`;
  if (format === 0) text += `(cluster ${state.log_dest >>> 4}: id ${state.log_dest & 15})`;
  return `${text} PPR ${hex(apic.processorPriority, 2)}\n`;
}

function pinNumbers(isOne: (pin: number) => boolean): string {
  const pins = Array.from({ length: 24 }, (_, pin) => pin).filter(isOne);
  return pins.length === 0 ? ' (none)' : pins.map((pin) => ` ${pin}`).join('');
}

/** The I/O APIC's part of `info pic`. */
export function ioapicText({ state, props }: IoApic): string {
  let text = `ioapic0: ver=${hex(props.version, 2)} id=${hex(state.id, 2)} sel=${hex(state.ioregsel, 2)}`;
  const index = (state.ioregsel - 0x10) >> 1;
  text += index >= 0 && index < 24 ? ` (redir[${index}])\n` : '\n';
  state.ioredtbl.forEach(({ low, high }, pin) => {
    const words = [
      low & ENTRY.activeLow ? 'active-lo' : 'active-hi',
      (low & ENTRY.level ? 'level' : 'edge').padEnd(5),
      (low & ENTRY.masked ? 'masked' : '').padEnd(6),
      PIN_MODES[(low >>> ENTRY.modeShift) & 7]!.padEnd(6),
      low & ENTRY.logical ? 'logical' : 'physical',
    ];
    const register = `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
    text += `  pin ${String(pin).padEnd(2)} ${register} dest=${(high >>> 24).toString(16).toUpperCase()} vec=${String(low & 0xff).padEnd(3)} ${words.join(' ')}\n`;
  });
  text += `  IRR     ${pinNumbers((pin) => ((state.irr >>> pin) & 1) !== 0)}\n`;
  return `${text}  Remote IRR${pinNumbers((pin) => (state.ioredtbl[pin]!.low & ENTRY.remoteIrr) !== 0)}\n`;
}
