/* Runs x87 instructions on the host's unit. Built with gcc -m32 or -m64 by x87.ts.
   stdin: length and bytes of the code around an instruction, place of the instruction in it, then records of { image[108] for FRSTOR,
   eflags, code[8] padded with NOPs, data[512] with ECX pointing to it }; stdout: { image[108] from FNSAVE, eflags, eax, data[512],
   image[512] from FXSAVE64, which 64-bit code makes before }. FNSAVE does not wait: unmasked exceptions show in its status word.
   In 64 bits all of that is mapped once more at HIGH, and code runs there, so that pointers have upper halves. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA 0x100000u
#define CODE 0x200000u
#define DATA 0x800 /* from AREA */
#ifdef __x86_64__
#define HIGH 0x123400000000ul
#else
#define HIGH 0
#endif
struct input { uint8_t image[108]; uint32_t eflags; uint8_t code[8], data[512]; };
struct output { uint8_t image[108]; uint32_t eflags, eax; uint8_t data[512], extended[512]; };

/* A page at an address and at HIGH beyond it. */
static void *map(uintptr_t at, int rights) {
  int file = memfd_create("page", 0);
  if (ftruncate(file, 0x1000)) return 0;
  mmap((void *)(at + HIGH), 0x1000, rights, MAP_SHARED | MAP_FIXED, file, 0);
  return mmap((void *)at, 0x1000, rights, MAP_SHARED | MAP_FIXED, file, 0);
}
int main(void) {
  uint8_t *area = map(AREA, PROT_READ | PROT_WRITE);
  uint8_t *code = map(CODE, PROT_READ | PROT_WRITE | PROT_EXEC);
  uint32_t length;
  if (fread(&length, 4, 1, stdin) != 1) return 0; /* just to see whether it runs */
  if (length > 200 || fread(code, length, 1, stdin) != 1) return 1;
  uint32_t hole;
  if (fread(&hole, 4, 1, stdin) != 1 || hole + 8 > length) return 1;
  struct input in;
  struct output out;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(area, &in, 112);
    memcpy(code + hole, in.code, 8);
    memcpy(area + DATA, in.data, 512);
    ((void (*)(void))(CODE + HIGH))();
    memcpy(&out, area + 0x100, 116);
    memcpy(out.data, area + DATA, 512);
    memcpy(out.extended, area + 0x400, 512);
    fwrite(&out, sizeof out, 1, stdout);
    asm volatile("fninit");
  }
  return 0;
}
