/* Runs instruction snippets with vector state on the host CPU. Built with gcc -m32 by vector.ts or,
   where the host cannot run that, with -m64: without REX and absolute addresses the snippets mean the same there.
   Ends with 3 where the host has no AVX2.
   stdin: records of { regs[8], eflags, mxcsr, length, code[20], ymm[8][32], mm[8][8], data[128] };
   stdout: { signal, regs[8], eflags, mxcsr, top and tags, ymm[8][32], mm[8][8], data[128] }. */
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
struct input { uint32_t regs[8], eflags, mxcsr, length; uint8_t code[20], ymm[256], mm[64], data[128]; };
struct output { uint32_t signal, regs[8], eflags, mxcsr, fpu; uint8_t ymm[256], mm[64], data[128]; };
static struct input in;
static struct output out;
static sigjmp_buf back;
#ifdef __x86_64__
static const int order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
#define REG_EIP REG_RIP
#define LEGACY 0 /* bytes of a signal frame before FXSAVE's image */
#else
static const int order[8] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };
#define LEGACY 112
#endif

static void start(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  for (int r = 0; r < 8; r++) g[order[r]] = in.regs[r];
#ifndef __x86_64__
  g[REG_UESP] = in.regs[4];
#endif
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_EIP] = CODE + 0x800;
}
static void stop(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
  out.signal = s;
  for (int r = 0; r < 8; r++) out.regs[r] = g[order[r]];
#ifndef __x86_64__
  out.regs[4] = g[REG_UESP];
#endif
  out.eflags = g[REG_EFL];
  const uint8_t *image = f + LEGACY;
  uint16_t status;
  memcpy(&status, image + 2, 2);
  int top = (status >> 11) & 7;
  out.fpu = top << 8 | (uint8_t)~image[4];
  memcpy(&out.mxcsr, image + 24, 4);
  /* Legacy part of 112 bytes, FXSAVE's image, header, upper halves if they are not all zero. */
  uint32_t states;
  memcpy(&states, image + 512, 4);
  for (int r = 0; r < 8; r++) {
    memcpy(out.ymm + 32 * r, image + 160 + 16 * r, 16);
    if (!(states & 2)) memset(out.ymm + 32 * r, 0, 16);
    if (states & 4) memcpy(out.ymm + 32 * r + 16, image + 576 + 16 * r, 16);
    else memset(out.ymm + 32 * r + 16, 0, 16);
  }
  for (int r = 0; r < 8; r++) memcpy(out.mm + 8 * r, image + 32 + 16 * ((r - top) & 7), 8);
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
  /* Loads vector state from DATA + 0x8000 and goes to CODE. */
  uint8_t *p = (uint8_t *)(uintptr_t)CODE + 0x800;
  uint32_t at = DATA + 0x8000;
#define PUT(bytes, address) do { uint32_t v = (address); memcpy(p, bytes, sizeof bytes - 1); p += sizeof bytes - 1; memcpy(p, &v, 4); p += 4; } while (0)
  for (int r = 0; r < 8; r++) {
    uint8_t load[] = { 0xc5, 0xfc, 0x10, 0x04 | r << 3, 0x25, 0 };
    PUT(load, at + 32 * r);
    uint8_t loadMmx[] = { 0x0f, 0x6f, 0x04 | r << 3, 0x25, 0 };
    PUT(loadMmx, at + 256 + 8 * r);
  }
  uint8_t control[] = { 0x0f, 0xae, 0x14, 0x25, 0 };
  PUT(control, at + 320);
  uint8_t jump[] = { 0xe9, 0 };
  PUT(jump, CODE - ((uint32_t)(uintptr_t)p + 5));
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memset((void *)CODE, 0xcc, 0x100);
    memcpy((void *)CODE, in.code, in.length);
    memcpy((void *)DATA, in.data, 128);
    memcpy((void *)(uintptr_t)at, in.ymm, 256);
    memcpy((void *)(uintptr_t)(at + 256), in.mm, 64);
    memcpy((void *)(uintptr_t)(at + 320), &in.mxcsr, 4);
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    memcpy(out.data, (void *)DATA, 128);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
