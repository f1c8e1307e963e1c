/* As vector.c for 64-bit code. stdin: records of { regs[16], eflags, mxcsr, length, code[20], ymm[16][32], mm[8][8], data[128] };
   stdout: { signal, top and tags, regs[16], eflags, mxcsr, ymm[16][32], mm[8][8], data[128] }. Vector state goes in and out by the
   signal frame, which has the layout of FXSAVE64 and, behind it, of XSAVE. */
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
#define CODE 0x200000ul
struct input { uint64_t regs[16]; uint32_t eflags, mxcsr, length; uint8_t code[20], ymm[512], mm[64], data[128]; };
struct output { uint32_t signal, fpu; uint64_t regs[16]; uint32_t eflags, mxcsr; uint8_t ymm[512], mm[64], data[128]; };
static struct input in;
static struct output out;
static sigjmp_buf back;
static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static void start(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
  for (int r = 0; r < 16; r++) g[order[r]] = in.regs[r];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_RIP] = CODE;
  uint16_t control = 0x37f, status = 0, tags = 0xff;
  memcpy(f, &control, 2);
  memcpy(f + 2, &status, 2);
  memcpy(f + 4, &tags, 2);
  memcpy(f + 24, &in.mxcsr, 4);
  for (int r = 0; r < 8; r++) {
    memcpy(f + 32 + 16 * r, in.mm + 8 * r, 8);
    memset(f + 40 + 16 * r, 0xff, 2);
  }
  for (int r = 0; r < 16; r++) {
    memcpy(f + 160 + 16 * r, in.ymm + 32 * r, 16);
    memcpy(f + 576 + 16 * r, in.ymm + 32 * r + 16, 16);
  }
  uint32_t magic;
  memcpy(&magic, f + 464, 4);
  if (magic == 0x46505853) f[512] |= 7; /* XSTATE_BV: x87, SSE and AVX are not in their initial state */
}
static void stop(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
  out.signal = s;
  for (int r = 0; r < 16; r++) out.regs[r] = g[order[r]];
  out.eflags = g[REG_EFL];
  uint16_t status;
  memcpy(&status, f + 2, 2);
  int top = (status >> 11) & 7;
  out.fpu = top << 8 | (uint8_t)~f[4];
  memcpy(&out.mxcsr, f + 24, 4);
  for (int r = 0; r < 16; r++) {
    memset(out.ymm + 32 * r, 0, 32);
    if (f[512] & 2) memcpy(out.ymm + 32 * r, f + 160 + 16 * r, 16);
    if (f[512] & 4) memcpy(out.ymm + 32 * r + 16, f + 576 + 16 * r, 16);
  }
  for (int r = 0; r < 8; r++) memcpy(out.mm + 8 * r, f + 32 + 16 * ((r - top) & 7), 8);
  siglongjmp(back, 1);
}
int main(void) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return 3;
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  mmap((void *)DATA, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
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
