/** The memory slider's scale: each step is an eighth of a doubling, so that 16 MiB and 2 GiB are both easy to hit. */
const STEPS_PER_DOUBLING = 8;
const LOWEST_MIB = 4;

export function toPosition(mebibytes: number): number {
  return Math.round(Math.log2(Math.max(mebibytes, LOWEST_MIB) / LOWEST_MIB) * STEPS_PER_DOUBLING);
}

/** Rounded to what people write down: powers of two exactly, else to 1/8 of the doubling's lower end. */
export function fromPosition(position: number): number {
  const exact = LOWEST_MIB * 2 ** (position / STEPS_PER_DOUBLING);
  const grain = Math.max(1, 2 ** Math.floor(Math.log2(exact)) / STEPS_PER_DOUBLING);
  return Math.round(exact / grain) * grain;
}

/** Marks at powers of four and at the end. */
export function memoryMarks(mostMiB: number): { at: number; label: string }[] {
  const marks = [4, 16, 64, 256, 1024, 4096].filter((mark) => mark <= mostMiB * 0.7);
  const label = (value: number) => (value >= 1024 ? `${Number((value / 1024).toFixed(1))} GiB` : `${value} MiB`);
  return [...marks, mostMiB].map((value) => ({ at: toPosition(value), label: label(value) }));
}
