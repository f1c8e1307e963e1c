/* Runs instruction snippets with vector state on the host CPU. Built with gcc -m32 by vector.ts.
   stdin: records of { regs[8], eflags, mxcsr, length, code[20], xmm[8][16], mm[8][8], data[128] };
   stdout: { signal, regs[8], eflags, mxcsr, top and tags, xmm[8][16], mm[8][8], data[128] }. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define DATA 0x100000u
#define CODE 0x200000u
struct input { uint32_t regs[8], eflags, mxcsr, length; uint8_t code[20], xmm[128], mm[64], data[128]; };
struct output { uint32_t signal, regs[8], eflags, mxcsr, fpu; uint8_t xmm[128], mm[64], data[128]; };
static struct input in;
static struct output out;
static sigjmp_buf back;
static const int order[8] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };

static void start(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  for (int r = 0; r < 8; r++) g[order[r]] = in.regs[r];
  g[REG_UESP] = in.regs[4];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_EIP] = CODE + 0x800;
}
static void stop(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
  out.signal = s;
  for (int r = 0; r < 8; r++) out.regs[r] = g[order[r]];
  out.regs[4] = g[REG_UESP];
  out.eflags = g[REG_EFL];
  uint32_t status, tags;
  memcpy(&status, f + 4, 4);
  memcpy(&tags, f + 8, 4);
  uint32_t empty = 0;
  for (int r = 0; r < 8; r++) empty |= (uint32_t)(((tags >> (2 * r)) & 3) == 3) << r;
  out.fpu = (((status >> 11) & 7) << 8) | empty;
  memcpy(&out.mxcsr, f + 136, 4);
  memcpy(out.xmm, f + 272, 128);
  int top = (status >> 11) & 7;
  for (int r = 0; r < 8; r++) memcpy(out.mm + 8 * r, f + 28 + 10 * ((r - top) & 7), 8);
  siglongjmp(back, 1);
}
int main(void) {
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
  /* Loads vector state from DATA + 0x8000 and goes to CODE. */
  uint8_t *p = (uint8_t *)CODE + 0x800;
  uint32_t at = DATA + 0x8000;
#define PUT(bytes, address) do { uint32_t v = (address); memcpy(p, bytes, sizeof bytes - 1); p += sizeof bytes - 1; memcpy(p, &v, 4); p += 4; } while (0)
  for (int r = 0; r < 8; r++) {
    uint8_t load[] = { 0x0f, 0x10, 0x05 | r << 3, 0 };
    PUT(load, at + 16 * r);
    uint8_t loadMmx[] = { 0x0f, 0x6f, 0x05 | r << 3, 0 };
    PUT(loadMmx, at + 128 + 8 * r);
  }
  uint8_t control[] = { 0x0f, 0xae, 0x15, 0 };
  PUT(control, at + 192);
  uint8_t jump[] = { 0xe9, 0 };
  PUT(jump, CODE - ((uint32_t)p + 5));
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memset((void *)CODE, 0xcc, 0x100);
    memcpy((void *)CODE, in.code, in.length);
    memcpy((void *)DATA, in.data, 128);
    memcpy((void *)at, in.xmm, 128);
    memcpy((void *)(at + 128), in.mm, 64);
    memcpy((void *)(at + 192), &in.mxcsr, 4);
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    memcpy(out.data, (void *)DATA, 128);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
