/* Runs instruction snippets with vector state on the host CPU, in 32-bit or in 64-bit code. Ends with 3 where the host has no AVX2.
   stdin: records of { regs, eflags, mxcsr, length, code[20], ymm of 32 bytes each, mm[8][8], data[128] };
   stdout: { signal, top and tags, regs, eflags, mxcsr, ymm, mm[8][8], data[128] }. */
#include "harness.h"

#define YMM_BYTES (32 * REGISTERS)
#define ENTRY (CODE + 0x800)
#define STATE (DATA + 0x8000)
static struct {
  word regs[REGISTERS];
  uint32_t eflags, mxcsr, length;
  uint8_t code[20], ymm[YMM_BYTES], mm[64], data[128];
} in;
static struct {
  uint32_t signal, fpu;
  word regs[REGISTERS];
  uint32_t eflags, mxcsr;
  uint8_t ymm[YMM_BYTES], mm[64], data[128];
} out;

static void start(int s, siginfo_t *i, void *context) {
  loadRegisters(((ucontext_t *)context)->uc_mcontext.gregs, in.regs, in.eflags, ENTRY);
}
static void stop(int s, siginfo_t *i, void *context) {
  ucontext_t *u = context;
  const greg_t *g = u->uc_mcontext.gregs;
  /* FXSAVE's image, XSAVE's header, upper halves if they are not all zero. */
  const uint8_t *image = (uint8_t *)u->uc_mcontext.fpregs + FRAME_HEAD;
  out.signal = s;
  saveRegisters(g, out.regs);
  out.eflags = g[REG_EFL];
  uint16_t status;
  memcpy(&status, image + 2, 2);
  int top = (status >> 11) & 7;
  out.fpu = top << 8 | (uint8_t)~image[4];
  memcpy(&out.mxcsr, image + 24, 4);
  uint8_t states = image[512];
  memset(out.ymm, 0, YMM_BYTES);
  for (int r = 0; r < REGISTERS; r++) {
    if (states & 2) memcpy(out.ymm + 32 * r, image + 160 + 16 * r, 16);
    if (states & 4) memcpy(out.ymm + 32 * r + 16, image + 576 + 16 * r, 16);
  }
  for (int r = 0; r < 8; r++) memcpy(out.mm + 8 * r, image + 32 + 16 * ((r - top) & 7), 8);
  siglongjmp(back, 1);
}
static uint8_t *put(uint8_t *p, const uint8_t *bytes, int count, uint32_t address) {
  memcpy(p, bytes, count);
  memcpy(p + count, &address, 4);
  return p + count + 4;
}
/* At ENTRY: loads vector state from STATE and goes to CODE. */
static void writeEntry(void) {
  uint8_t *p = (uint8_t *)ENTRY;
  for (int r = 0; r < REGISTERS; r++) {
    const uint8_t load[] = { 0xc5, r < 8 ? 0xfc : 0x7c, 0x10, 0x04 | (r & 7) << 3, 0x25 };
    p = put(p, load, sizeof load, STATE + 32 * r);
  }
  for (int r = 0; r < 8; r++) {
    const uint8_t load[] = { 0x0f, 0x6f, 0x04 | r << 3, 0x25 };
    p = put(p, load, sizeof load, STATE + YMM_BYTES + 8 * r);
  }
  const uint8_t control[] = { 0x0f, 0xae, 0x14, 0x25 }, jump[] = { 0xe9 };
  p = put(p, control, sizeof control, STATE + YMM_BYTES + 64);
  put(p, jump, sizeof jump, CODE - ((uintptr_t)p + 5));
}
int main(void) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return 3;
  if (!prepare(start, stop)) return 1;
  writeEntry();
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy((void *)DATA, in.data, 128);
    memcpy((void *)STATE, in.ymm, YMM_BYTES);
    memcpy((void *)(STATE + YMM_BYTES), in.mm, 64);
    memcpy((void *)(STATE + YMM_BYTES + 64), &in.mxcsr, 4);
    runSnippet(in.code, in.length);
    memcpy(out.data, (void *)DATA, 128);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
