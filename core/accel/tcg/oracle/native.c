/* Runs instruction snippets on the host CPU: the truth that the interpreter is held to. Built for 32 bits by native.ts, for 64 by
   native64.ts.
   stdin: records of { regs, eflags, length, code[32], data[128] }; stdout: { signal, ip, regs, eflags, data[128] }.
   32 bits: with bit 31 of eflags in 16-bit segments, code at CODE, everything else at DATA. */
#include "harness.h"
#include <asm/ldt.h>
#include <sys/syscall.h>

static struct { word regs[REGISTERS]; uint32_t eflags, length; uint8_t code[32], data[128]; } in;
static struct { word signal, ip, regs[REGISTERS], eflags; uint8_t data[128]; } out;

static void start(int s, siginfo_t *i, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  loadRegisters(g, in.regs, in.eflags, CODE);
#ifndef __x86_64__
  if (in.eflags >> 31) {
    g[IP] = 0;
    g[REG_CS] = 0x0f;
    g[REG_DS] = g[REG_ES] = g[REG_SS] = 0x17;
  }
#endif
}
static void stop(int s, siginfo_t *i, void *context) {
  const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  out.signal = s;
  out.ip = g[IP];
  saveRegisters(g, out.regs);
  out.eflags = g[REG_EFL];
  siglongjmp(back, 1);
}
#ifndef __x86_64__
static void segment(int entry, uint32_t base, uint32_t limit, int contents) {
  struct user_desc d = { .entry_number = entry, .base_addr = base, .limit = limit, .contents = contents, .useable = 1 };
  syscall(SYS_modify_ldt, 1, &d, sizeof d);
}
#endif
int main(void) {
  if (!prepare(start, stop)) return 1;
#ifndef __x86_64__
  segment(1, CODE, 0xffff, 2);
  segment(2, DATA, 0x7fff, 0);
#endif
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy((void *)DATA, in.data, 128);
    runSnippet(in.code, in.length);
    memcpy(out.data, (void *)DATA, 128);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
