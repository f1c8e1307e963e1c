/* What the programs that run snippets on the host CPU have in common, for 32 and for 64 bits: where code and data stand, registers in
   encoding order, and the way in and out by signals. */
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
#ifdef __x86_64__
#define HIGH 0x123400000000ul /* distance at which the data stands once more */
#define REGISTERS 16
typedef uint64_t word;
static const int order[REGISTERS] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
#define IP REG_RIP
#define STACK REG_RSP
#define FRAME_HEAD 0 /* bytes of a signal frame's image before FXSAVE's */
#else
#define REGISTERS 8
typedef uint32_t word;
static const int order[REGISTERS] = { REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };
#define IP REG_EIP
#define STACK REG_UESP
#define FRAME_HEAD 112
#endif
static sigjmp_buf back;

static void loadRegisters(greg_t *g, const word *regs, uint32_t eflags, uintptr_t ip) {
  for (int r = 0; r < REGISTERS; r++) g[order[r]] = regs[r];
  g[STACK] = regs[4];
  g[REG_EFL] = (eflags & 0xcd5) | 0x202;
  g[IP] = ip;
}
static void saveRegisters(const greg_t *g, word *regs) {
  for (int r = 0; r < REGISTERS; r++) regs[r] = g[order[r]];
  regs[4] = g[STACK];
}

typedef void handler(int, siginfo_t *, void *);
/* Code and data, in 64 bits the data by two names. `start` puts the state into the frame of a SIGUSR1, `stop` takes it out of that of
   what a snippet ends in. Returns 0 where that cannot be. */
static int prepare(handler *start, handler *stop) {
  static uint8_t stack[65536];
  stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&alternate, 0);
  int file = memfd_create("data", 0);
  if (ftruncate(file, 0x10000)) return 0;
  const int rights = PROT_READ | PROT_WRITE;
  if (mmap((void *)DATA, 0x10000, rights, MAP_SHARED | MAP_FIXED, file, 0) != (void *)DATA) return 0;
#ifdef __x86_64__
  if (mmap((void *)(DATA + HIGH), 0x10000, rights, MAP_SHARED | MAP_FIXED, file, 0) != (void *)(DATA + HIGH)) return 0;
#endif
  mmap((void *)CODE, 0x1000, rights | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  struct sigaction a = { .sa_sigaction = start, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigaction(SIGUSR1, &a, 0);
  a.sa_sigaction = stop;
  const int ends[] = { SIGTRAP, SIGFPE, SIGILL, SIGSEGV, SIGBUS };
  for (int i = 0; i < 5; i++) sigaction(ends[i], &a, 0);
  return 1;
}
/* `stop` leaves by siglongjmp to `back`. */
static void runSnippet(const uint8_t *code, uint32_t length) {
  memset((void *)CODE, 0xcc, 0x100);
  memcpy((void *)CODE, code, length);
  if (!sigsetjmp(back, 1)) raise(SIGUSR1);
}
