/* Runs x87 instructions on the host's unit. Built with gcc -m32 by x87.ts.
   stdin: records of { image[108] for FRSTOR, eflags, code[8] padded with NOPs, data[112] with ECX pointing to it }; stdout:
   { image[108] from FNSAVE, eflags, eax, data[112] }. FNSAVE does not wait: unmasked exceptions show in its status word. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define AREA 0x100000u
#define CODE 0x200000u
struct input { uint8_t image[108]; uint32_t eflags; uint8_t code[8], data[112]; };
struct output { uint8_t image[108]; uint32_t eflags, eax; uint8_t data[112]; };

int main(void) {
  uint8_t *area = mmap((void *)AREA, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  uint8_t *code = mmap((void *)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  uint32_t length;
  if (fread(&length, 4, 1, stdin) != 1 || length > 200 || fread(code, length, 1, stdin) != 1) return 1;
  uint32_t hole;
  if (fread(&hole, 4, 1, stdin) != 1 || hole + 8 > length) return 1;
  struct input in;
  struct output out;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(area, &in, 112);
    memcpy(code + hole, in.code, 8);
    memcpy(area + 0x200, in.data, 112);
    ((void (*)(void))CODE)();
    memcpy(&out, area + 0x100, 116);
    memcpy(out.data, area + 0x200, 112);
    fwrite(&out, sizeof out, 1, stdout);
    asm volatile("fninit");
  }
  return 0;
}
