/** V8's settings for generated code. The launcher and the app give them on the command line, before V8 starts; where they cannot
 *  (Electron's own processes), they are set here, before anything is loaded: kept code is good for one set of flags only. */
export const V8_FLAGS = [
  // Hot loops reach the optimising tier sooner than with V8's default, which is made for pages that live for seconds.
  '--wasm-tiering-budget=200000',
  // Machine code of the first tier is made where modules are, on the compiling thread, not at the first call, where the guest waits.
  '--no-wasm-lazy-compilation',
  // Machine code can be kept between runs (machine-code.ts).
  '--allow-natives-syntax',
] as const;

export function setV8Flags(): void {
  for (const flag of V8_FLAGS)
    if (!process.execArgv.includes(flag)) process.getBuiltinModule('node:v8').setFlagsFromString(flag);
}
