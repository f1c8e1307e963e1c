/* As native.c for 64-bit code. stdin: records of { regs[16], eflags, length, code[32], data[128] }; stdout: { signal, rip, regs[16],
   eflags, data[128] }. The data stands at DATA and once more at HIGH, above 4 GiB. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define DATA 0x100000ul
#define HIGH 0x123400100000ul
#define CODE 0x200000ul
struct input { uint64_t regs[16]; uint32_t eflags, length; uint8_t code[32], data[128]; };
struct output { uint64_t signal, rip, regs[16], eflags; uint8_t data[128]; };
static struct input in;
static struct output out;
static sigjmp_buf back;
static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static void start(int s, siginfo_t *i, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  for (int r = 0; r < 16; r++) g[order[r]] = in.regs[r];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_RIP] = CODE;
}
static void stop(int s, siginfo_t *i, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  out.signal = s;
  out.rip = g[REG_RIP];
  for (int r = 0; r < 16; r++) out.regs[r] = g[order[r]];
  out.eflags = g[REG_EFL];
  siglongjmp(back, 1);
}
static int map(int file, unsigned long at) {
  return mmap((void *)at, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == (void *)at;
}
int main(void) {
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  int file = memfd_create("data", 0);
  if (ftruncate(file, 0x10000) || !map(file, DATA) || !map(file, HIGH)) return 1;
  mmap((void *)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
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
