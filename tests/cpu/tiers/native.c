/* Runs random programs on the host CPU; world.ts says where things are. Built with gcc -m32 -static by native.ts.
   stdin: the number of data pages and of fillings; for each page { index, writable }; for each filling the pages' contents;
   then programs { regs[8], eflags, filling, start, length, code[length], next[length] (16 bits each) }.
   stdout: for each program struct output, and its log records. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define CODE 0x200000u
#define CODE_BYTES (3 * PAGE)
#define DATA 0x100000u
#define MAX_PAGES 16
#define LOG_MAX 400
#define TRAPS (1 << 1 | 1 << 3 | 1 << 4)
enum { ENDED = 0, TOO_LONG = 1 };
struct header { uint32_t regs[8], eflags, filling, start, length; };
struct record { uint32_t vector, error, eip, eflags, cr2; };
struct output {
  uint32_t how, records, regs[8], eip, eflags, control, status, tags, mxcsr;
  uint8_t st[80], xmm[128];
  uint32_t pages[MAX_PAGES], code;
};
static struct header in;
static struct output out;
static struct record records[LOG_MAX];
static uint16_t next[CODE_BYTES];
static sigjmp_buf back;
static const int order[8] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };

static void put(uint8_t *p, uint32_t value) { memcpy(p, &value, 4); }
static uint32_t get(const uint8_t *p) { uint32_t value; memcpy(&value, p, 4); return value; }

static void start(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
  for (int r = 0; r < 8; r++) g[order[r]] = in.regs[r];
  g[REG_UESP] = in.regs[4];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[REG_EIP] = CODE + in.start;
  memset(f, 0, 108);
  put(f, 0xffff037f);
  put(f + 4, 0xffff0000);
  put(f + 8, 0xffffffff);
  put(f + 136, 0x1f80);
  memset(f + 272, 0, 128);
}
static void end(ucontext_t *u, uint32_t how) {
  greg_t *g = u->uc_mcontext.gregs;
  const uint8_t *f = (const uint8_t *)u->uc_mcontext.fpregs;
  out.how = how;
  for (int r = 0; r < 8; r++) out.regs[r] = g[order[r]];
  out.regs[4] = g[REG_UESP];
  out.eip = g[REG_EIP];
  out.eflags = g[REG_EFL];
  out.control = get(f) & 0xffff;
  out.status = get(f + 4) & 0xffff;
  out.tags = get(f + 8) & 0xffff;
  out.mxcsr = get(f + 136);
  memcpy(out.st, f + 28, 80);
  memcpy(out.xmm, f + 272, 128);
  siglongjmp(back, 1);
}
static void fault(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint32_t vector = g[REG_TRAPNO], at = (uint32_t)g[REG_EIP] - CODE;
  records[out.records++] =
    (struct record){ vector, g[REG_ERR], g[REG_EIP], g[REG_EFL], u->uc_mcontext.cr2 };
  if (vector == 16) { /* as FNCLEX does */
    uint8_t *f = (uint8_t *)u->uc_mcontext.fpregs;
    put(f + 4, get(f + 4) & ~0x80ffu);
  }
  if (out.records == LOG_MAX || at >= CODE_BYTES) end(u, ENDED);
  if (TRAPS >> vector & 1) return;
  if (next[at] == 0xffff) end(u, ENDED);
  g[REG_EIP] = CODE + next[at];
}
static void expire(int s, siginfo_t *i, void *context) { end(context, TOO_LONG); }

static uint32_t hash(const void *memory, int bytes) {
  const uint32_t *words = memory;
  uint32_t h = 1;
  for (int i = 0; i < bytes / 4; i++) h = h * 31 + words[i];
  return h;
}
static void need(void *to, size_t bytes) {
  if (bytes && fread(to, bytes, 1, stdin) != 1) exit(2);
}
int main(void) {
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  uint32_t counts[2], pages[MAX_PAGES][2];
  need(counts, sizeof counts);
  if (counts[0] > MAX_PAGES) return 2;
  need(pages, counts[0] * 8);
  uint8_t *fillings = malloc(counts[1] * counts[0] * PAGE);
  need(fillings, counts[1] * counts[0] * PAGE);
  for (uint32_t p = 0; p < counts[0]; p++)
    mmap((void *)(DATA + pages[p][0] * PAGE), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap((void *)CODE, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  struct sigaction a = { .sa_sigaction = start, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigaction(SIGUSR1, &a, 0);
  a.sa_sigaction = expire;
  sigaction(SIGALRM, &a, 0);
  a.sa_sigaction = fault;
  int ends[] = { SIGTRAP, SIGFPE, SIGILL, SIGSEGV, SIGBUS };
  for (int i = 0; i < 5; i++) sigaction(ends[i], &a, 0);
  const struct itimerval limit = { .it_value = { .tv_usec = 300000 } }, off = { 0 };
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    if (in.start + in.length > CODE_BYTES || in.filling >= counts[1]) return 2;
    memset((void *)CODE, 0, CODE_BYTES);
    memset(next, 0xff, sizeof next);
    need((void *)(CODE + in.start), in.length);
    need(next + in.start, in.length * 2);
    for (uint32_t p = 0; p < counts[0]; p++) {
      void *at = (void *)(DATA + pages[p][0] * PAGE);
      if (!pages[p][1]) mprotect(at, PAGE, PROT_READ | PROT_WRITE);
      memcpy(at, fillings + (in.filling * counts[0] + p) * PAGE, PAGE);
      if (!pages[p][1]) mprotect(at, PAGE, PROT_READ);
    }
    memset(&out, 0, sizeof out);
    setitimer(ITIMER_REAL, &limit, 0);
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    setitimer(ITIMER_REAL, &off, 0);
    for (uint32_t p = 0; p < counts[0]; p++) out.pages[p] = hash((void *)(DATA + pages[p][0] * PAGE), PAGE);
    out.code = hash((void *)CODE, CODE_BYTES);
    fwrite(&out, sizeof out, 1, stdout);
    fwrite(records, sizeof *records, out.records, stdout);
  }
  return 0;
}
