/* Runs random programs on the host CPU; world.ts says where things are. Built with gcc -static and -m32 or -m64 by native.ts.
   stdin: the number of data pages and of fillings; for each page { index, writable }; for each filling the pages' contents;
   then programs { regs, eflags, filling, start, length, code[length], next[length] (16 bits each) }.
   stdout: for each program struct output, and its log records. With -m64 ends with 3 where the host has no AVX2. */
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
#ifdef __x86_64__
#define HIGH 0x123400000000ul /* the data once more */
#define REGISTERS 16
#define VECTOR_BYTES 32
typedef uint64_t word;
static const int order[REGISTERS] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
#define IP REG_RIP
#define STACK REG_RSP
#define FAULT_ADDRESS(u) ((u)->uc_mcontext.gregs[REG_CR2])
#else
#define REGISTERS 8
#define VECTOR_BYTES 16
typedef uint32_t word;
static const int order[REGISTERS] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };
#define IP REG_EIP
#define STACK REG_UESP
#define FAULT_ADDRESS(u) ((u)->uc_mcontext.cr2)
#endif
struct header { word regs[REGISTERS]; uint32_t eflags, filling, start, length; };
struct record { word vector, error, ip, flags, cr2; };
struct output {
  uint32_t how, records;
  word regs[REGISTERS], ip, flags;
  uint32_t control, status, tags, mxcsr; /* tags: two bits each, in 64-bit code FXSAVE's one */
  uint8_t st[80], vectors[REGISTERS * VECTOR_BYTES];
  uint32_t pages[MAX_PAGES], code;
};
static struct header in;
static struct output out;
static struct record records[LOG_MAX];
static uint16_t next[CODE_BYTES];
static sigjmp_buf back;

static void put(uint8_t *p, uint32_t value) { memcpy(p, &value, 4); }
static uint32_t get(const uint8_t *p) { uint32_t value; memcpy(&value, p, 4); return value; }

/* The signal frame's image: in 64-bit code that of FXSAVE64 with XSAVE's behind it, otherwise FNSAVE's with FXSAVE's behind it. */
#ifdef __x86_64__
static void loadUnits(uint8_t *f) {
  put(f, 0x37f);
  memset(f + 4, 0, 20);
  put(f + 24, 0x1f80);
  memset(f + 32, 0, 128 + 256);
  memset(f + 576, 0, 256);
  f[512] |= 7; /* XSTATE_BV */
}
static void saveUnits(const uint8_t *f) {
  out.control = get(f) & 0xffff;
  out.status = get(f) >> 16;
  out.tags = f[4];
  out.mxcsr = get(f + 24);
  for (int r = 0; r < 8; r++) memcpy(out.st + 10 * r, f + 32 + 16 * r, 10);
  for (int r = 0; r < 16; r++) {
    if (f[512] & 2) memcpy(out.vectors + 32 * r, f + 160 + 16 * r, 16);
    if (f[512] & 4) memcpy(out.vectors + 32 * r + 16, f + 576 + 16 * r, 16);
  }
}
static void clearExceptions(uint8_t *f) { put(f, get(f) & ~0x80ff0000u); }
#else
static void loadUnits(uint8_t *f) {
  memset(f, 0, 108);
  put(f, 0xffff037f);
  put(f + 4, 0xffff0000);
  put(f + 8, 0xffffffff);
  put(f + 136, 0x1f80);
  memset(f + 272, 0, 128);
}
static void saveUnits(const uint8_t *f) {
  out.control = get(f) & 0xffff;
  out.status = get(f + 4) & 0xffff;
  out.tags = get(f + 8) & 0xffff;
  out.mxcsr = get(f + 136);
  memcpy(out.st, f + 28, 80);
  memcpy(out.vectors, f + 272, 128);
}
static void clearExceptions(uint8_t *f) { put(f + 4, get(f + 4) & ~0x80ffu); }
#endif
static void start(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  for (int r = 0; r < REGISTERS; r++) g[order[r]] = in.regs[r];
  g[STACK] = in.regs[4];
  g[REG_EFL] = (in.eflags & 0xcd5) | 0x202;
  g[IP] = CODE + in.start;
  loadUnits((uint8_t *)u->uc_mcontext.fpregs);
}
static void end(ucontext_t *u, uint32_t how) {
  greg_t *g = u->uc_mcontext.gregs;
  out.how = how;
  for (int r = 0; r < REGISTERS; r++) out.regs[r] = g[order[r]];
  out.regs[4] = g[STACK];
  out.ip = g[IP];
  out.flags = g[REG_EFL];
  saveUnits((const uint8_t *)u->uc_mcontext.fpregs);
  siglongjmp(back, 1);
}
static void fault(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint32_t vector = g[REG_TRAPNO];
  word at = g[IP] - CODE;
  records[out.records++] = (struct record){ vector, g[REG_ERR], g[IP], g[REG_EFL], FAULT_ADDRESS(u) };
  if (vector == 16) clearExceptions((uint8_t *)u->uc_mcontext.fpregs); /* as FNCLEX does */
  if (out.records == LOG_MAX || at >= CODE_BYTES) end(u, ENDED);
  if (TRAPS >> vector & 1) return;
  if (next[at] == 0xffff) end(u, ENDED);
  g[IP] = CODE + next[at];
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
/* A data page, in 64-bit code by both of its names. A page that is not there yet is another fault than one that may not be written. */
#ifdef __x86_64__
static int file = -1;
#endif
static void mapPage(uint32_t index) {
  const int rights = PROT_READ | PROT_WRITE;
  void *at = (void *)(uintptr_t)(DATA + index * PAGE);
#ifdef __x86_64__
  mmap(at, PAGE, rights, MAP_SHARED | MAP_FIXED, file, index * PAGE);
  mmap(at + HIGH, PAGE, rights, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, index * PAGE);
#else
  mmap(at, PAGE, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
}
static void protectPage(void *at, int rights) {
  mprotect(at, PAGE, rights);
#ifdef __x86_64__
  mprotect(at + HIGH, PAGE, rights);
#endif
}
int main(void) {
#ifdef __x86_64__
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return 3;
  file = memfd_create("data", 0);
  if (ftruncate(file, 16 * PAGE)) return 2;
#endif
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  uint32_t counts[2], pages[MAX_PAGES][2];
  need(counts, sizeof counts);
  if (counts[0] > MAX_PAGES) return 2;
  need(pages, counts[0] * 8);
  uint8_t *fillings = malloc(counts[1] * counts[0] * PAGE);
  need(fillings, counts[1] * counts[0] * PAGE);
  for (uint32_t p = 0; p < counts[0]; p++) mapPage(pages[p][0]);
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
    need((void *)(uintptr_t)(CODE + in.start), in.length);
    need(next + in.start, in.length * 2);
    for (uint32_t p = 0; p < counts[0]; p++) {
      void *at = (void *)(uintptr_t)(DATA + pages[p][0] * PAGE);
      if (!pages[p][1]) protectPage(at, PROT_READ | PROT_WRITE);
      memcpy(at, fillings + (in.filling * counts[0] + p) * PAGE, PAGE);
      if (!pages[p][1]) protectPage(at, PROT_READ);
    }
    memset(&out, 0, sizeof out);
    setitimer(ITIMER_REAL, &limit, 0);
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    setitimer(ITIMER_REAL, &off, 0);
    for (uint32_t p = 0; p < counts[0]; p++) out.pages[p] = hash((void *)(uintptr_t)(DATA + pages[p][0] * PAGE), PAGE);
    out.code = hash((void *)CODE, CODE_BYTES);
    fwrite(&out, sizeof out, 1, stdout);
    fwrite(records, sizeof *records, out.records, stdout);
  }
  return 0;
}
