/* Runs instruction snippets on the host CPU: the truth that the interpreter is held to. Built with gcc -m32 by native.ts.
   stdin: records of { regs[8], eflags, length, code[32], data[128] }; stdout: { signal, eip, regs[8], eflags, data[128] }.
   Bit 31 of eflags: 16-bit segments. Registers in encoding order. Data stands at DATA, the code at CODE, both mapped at fixed addresses. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <asm/ldt.h>

#define DATA 0x100000u
#define CODE 0x200000u
struct input { uint32_t regs[8], eflags, length; uint8_t code[32], data[128]; };
struct output { uint32_t signal, eip, regs[8], eflags; uint8_t data[128]; };
static struct input in;
static struct output out;
static sigjmp_buf back;
static const int order[8] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };

static void start(int s, siginfo_t *i, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  for (int r = 0; r < 8; r++) g[order[r]] = in.regs[r];
  g[REG_UESP] = in.regs[4];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_EIP] = CODE;
  if (in.eflags >> 31) { /* 16-bit segments: code at CODE, everything else at DATA */
    g[REG_EIP] = 0;
    g[REG_CS] = 0x0f;
    g[REG_DS] = g[REG_ES] = g[REG_SS] = 0x17;
  }
}
static void segment(int entry, uint32_t base, uint32_t limit, int contents) {
  struct user_desc d = { .entry_number = entry, .base_addr = base, .limit = limit, .contents = contents, .useable = 1 };
  syscall(SYS_modify_ldt, 1, &d, sizeof d);
}
static void stop(int s, siginfo_t *i, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  out.signal = s;
  out.eip = g[REG_EIP];
  for (int r = 0; r < 8; r++) out.regs[r] = g[order[r]];
  out.regs[4] = g[REG_UESP];
  out.eflags = g[REG_EFL];
  siglongjmp(back, 1);
}
int main(void) {
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  mmap((void *)DATA, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap((void *)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  segment(1, CODE, 0xffff, 2);
  segment(2, DATA, 0x7fff, 0);
  struct sigaction a = { .sa_sigaction = start, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigaction(SIGUSR1, &a, 0);
  a.sa_sigaction = stop;
  int ends[] = { SIGTRAP, SIGFPE, SIGILL, SIGSEGV, SIGBUS };
  for (int i = 0; i < 5; i++) sigaction(ends[i], &a, 0);
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memset((void *)CODE, 0xcc, 0x100);
    memcpy((void *)CODE, in.code, in.length);
    memcpy((void *)DATA, in.data, 128);
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    memcpy(out.data, (void *)DATA, 128);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
