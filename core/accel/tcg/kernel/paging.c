/* Paging: rights of every combination of entries, A and D bits, faults in the middle of instructions, INVLPG, aliases, code that is
   rewritten while it runs. Built and used as kernel.c, whose set-up it takes; expected output (paging.txt) from qemu-system-x86_64.
   Not in it: global pages that outlive a write to CR3 (QEMU flushes more than it must), faults of read-modify-write (QEMU reads
   first, so it reports and marks a read) and of PUSHA (QEMU writes the last word first). */
#define handler base_handler
#define TESTS paging_tests();
static void paging_tests(void);
#include "kernel.c"
#undef handler

#define WINDOW 0x30000000u
static volatile u32 window[1024] __attribute__((aligned(4096)));
static volatile u64 window64[512] __attribute__((aligned(4096)));
static struct frame seen; static u32 seen_cr2;
static int is_pae;
void handler(struct frame *f) {
  if (f->vector != 14) { base_handler(f); return; }
  seen = *f; seen_cr2 = cr2();
  put("#PF"); show("", f->error); show("cr2", seen_cr2); show("cs", f->cs & 3); giveup();
}
static void flush(void) { ASM("mov %%cr3,%%eax; mov %%eax,%%cr3" ::: "eax", "memory"); }
static void invlpg(u32 at) { ASM("invlpg (%0)" :: "r"(at) : "memory"); }
static void set_cr0(u32 clear, u32 set) { u32 v = (cr0() & ~clear) | set; ASM("mov %0,%%cr0" :: "r"(v) : "memory"); }
static void set_cr4(u32 clear, u32 set) { u32 v; ASM("mov %%cr4,%0" : "=r"(v)); v = (v & ~clear) | set; ASM("mov %0,%%cr4" :: "r"(v) : "memory"); }
static u32 regs[8];
/* Kernel code with the registers of `regs` (but ESP) before it; they are kept when nothing faults. */
#define RUN(text) do { void body(void) { ASM("push %%ebp; mov regs,%%eax; mov regs+4,%%ecx; mov regs+8,%%edx; mov regs+24,%%esi; mov regs+28,%%edi; " text "\n mov %%ecx,regs+4; mov %%esi,regs+24; mov %%edi,regs+28; pop %%ebp" ::: "eax","ecx","edx","ebx","esi","edi","memory","cc"); } if (!attempt(body)) put("ok "); else { show("ecx", seen.ecx); show("esi", seen.esi); show("edi", seen.edi); } } while (0)
#define USER(text) do { void body(void) { u32 at; ASM("jmp 2f\n1: " text "\n xor %%eax,%%eax; int $0x80\n2: mov $1b,%0" : "=r"(at)); base_eip = at; to_user(at, (u32)ustack + 4096, 2); } attempt(body); } while (0)

static void accesses(volatile u32 *pde, volatile u32 *pte) {
  u32 d = *pde, t = *pte;
#define ONE(name, action) do { *pde = d; *pte = t; flush(); put(name " "); action; show("pde", *pde & 0x1e7); show("pte", *pte & 0x1e7); nl(); } while (0)
  ONE("read", RUN("mov 0x30000000,%%eax"));
  ONE("write", RUN("movb $0xc3,0x30000000"));
  ONE("fetch", RUN("mov $0x30000000,%%eax; call *%%eax"));
  ONE("read user", USER("mov 0x30000000,%%eax"));
  ONE("write user", USER("movb $0xc3,0x30000000"));
  ONE("fetch user", USER("mov $0x30000000,%%eax; call *%%eax"));
  ONE("read then write", RUN("mov 0x30000000,%%eax; movb $0xc3,0x30000000"));
}
static void rights(volatile u32 *pde, volatile u32 *pte, u32 directory, u32 leaf) {
  for (u32 wp = 0; wp < 2; wp++) {
    set_cr0(0x10000, wp << 16);
    for (u32 i = 0; i < 32; i++) {
      u32 d = (i & 3) << 1 | 1, t = (i >> 2 & 3) << 1 | (i >> 4 ? 0 : 1);
      if (i >> 4 && i != 31) continue; /* absent: once is enough */
      *pde = directory | d; *pte = leaf | t;
      show("wp", wp); show("pde", d); show("pte", t); nl();
      accesses(pde, pte);
    }
  }
  set_cr0(0, 0x10000);
}
static void middle(void) {
  /* window pages: 0 and 2 writable, 1 absent, 3 read-only, 4 and 5 swapped, 6 writable */
  static const u32 flags[] = { 7, 0, 7, 5, 7, 7, 7 };
  u32 base = (u32)page[0];
  for (u32 i = 0; i < 7; i++) window[i] = (base + (i == 4 ? 1 : i == 5 ? 0 : i & 3) * 4096) | flags[i];
  memset(page[0], 0x11, 4096); memset(page[1], 0x22, 4096); memset(page[2], 0x33, 4096); memset(page[3], 0x44, 4096); flush();
  volatile u32 *edge = (u32 *)(page[0] + 4092);
#define MID(name, text) do { put(name " "); RUN(text); show("edge", *edge); nl(); *edge = 0x11111111; } while (0)
  /* In ring 3, whose faults have a stack of their own. */
#define STACK(name, text) do { put(name " "); seen.esp = 0; USER(text); show("esp", seen.esp); show("ebp", seen.ebp == (u32)seen.ebp && seen.ebp < 0x30000000 ? 0 : seen.ebp); show("edge", *edge); nl(); } while (0)
#define REGS(a, c, s, d) (regs[0] = a, regs[1] = c, regs[6] = s, regs[7] = d)
  REGS(0x5a5a5a5a, 0, 0, 0);
  MID("split read", "mov 0x30000ffe,%%eax"); MID("split write", "mov %%eax,0x30000ffe");
  MID("split write into read-only", "mov %%eax,0x30002ffe");
  MID("swapped read", "mov 0x30004ffe,%%ecx"); show("got", regs[1]); nl(); MID("swapped write", "mov %%eax,0x30004ffe"); show("first", *(u16 *)(page[1] + 4094)); show("second", *(u16 *)page[0]); nl();
  REGS(0, 100, 0x30000ff0, 0x30002000); MID("movsb from absent", "rep movsb"); REGS(0, 100, 0x30002000, 0x30000fe1); MID("movsd into absent", "rep movsl"); REGS(0, 100, 0x30002000, 0x30002fe2); MID("movsw into read-only", "rep movsw");
  REGS(0, 64, 0x30002040, 0x30002020); MID("movsd down", "std; rep movsl; cld"); REGS(0, 20, 0x30002010, 0x30002010); MID("movsd down from absent", "std; rep movsl; cld");
  REGS(0x77777777, 100, 0, 0x30000fe0); MID("stosd into absent", "rep stosl"); REGS(0x77, 100, 0, 0x30000fe1); MID("stosb into absent", "rep stosb"); memset(page[0], 0x11, 4096); REGS(0x11, 100, 0, 0x30000fc0); MID("scasb to absent", "repe scasb"); REGS(0, 100, 0x30000fc0, 0x30000f80); MID("cmpsd to absent", "repe cmpsl"); REGS(0, 100, 0x30000ff1, 0); MID("lodsd from absent", "rep lodsl");
  REGS(1, 2, 0, 0);
  STACK("push", "mov $0x30002000,%%esp; push %%eax"); STACK("push split", "mov $0x30002002,%%esp; push %%eax"); STACK("push memory", "pushl 0x30001000");
  STACK("pop memory", "mov $0x30000ff8,%%esp; popl 0x30001000"); STACK("pop from absent", "mov $0x30001000,%%esp; pop %%ecx"); STACK("popa", "mov $0x30000ff0,%%esp; popa");
  STACK("call", "mov $0x30002000,%%esp; call 1f; 1:"); STACK("call memory", "call *0x30001ffe"); STACK("ret", "mov $0x30000ffe,%%esp; ret"); STACK("enter", "mov $0x30002004,%%esp; enter $64,$2"); STACK("pushf", "mov $0x30002000,%%esp; pushf"); STACK("leave", "mov $0x30000ffe,%%ebp; leave");
  REGS(0, 0, 0, 0); memset(page[0] + 4080, 0x90, 16); put("fetch runs into absent "); RUN("mov $0x30000ff4,%%eax; jmp *%%eax"); nl(); page[0][4095] = 0xb8; put("instruction runs into absent "); RUN("mov $0x30000ff4,%%eax; jmp *%%eax"); nl();
}
static u8 count_code[] = { 0xb8, 1, 0, 0, 0, 0xc3 };
static u32 run_at(u32 at) { u32 v; ASM("call *%1" : "=a"(v) : "r"(at) : "memory", "ecx", "edx"); return v; }
static void stale(void) {
  u32 base = (u32)page[0];
  for (u32 i = 0; i < 8; i++) window[i] = (base + (i & 3) * 4096) | 7;
  for (u32 i = 0; i < 4; i++) { memset(page[i], 0x90, 4096); memcpy(page[i], count_code, 6); page[i][1] = i; }
  flush();
  for (u32 i = 0; i < 4; i++) show("run", run_at(WINDOW + i * 4096)); nl();
  window[0] = window[1]; invlpg(WINDOW + 0x123); show("after invlpg", run_at(WINDOW)); window[2] = window[3]; flush(); show("after cr3", run_at(WINDOW + 0x2000)); nl();
  set_cr4(0, 0x80); window[4] = base | 0x107; invlpg(WINDOW + 0x4000); show("global", run_at(WINDOW + 0x4000)); window[4] = (base + 0x3000) | 0x107; invlpg(WINDOW + 0x4000); show("invlpg", run_at(WINDOW + 0x4000)); window[4] = (base + 0x1000) | 0x107; set_cr4(0x80, 0); show("pge off", run_at(WINDOW + 0x4000)); nl();
  put("written through another page "); window[0] = base | 7; window[1] = base | 7; flush(); for (u32 i = 0; i < 5; i++) { *(volatile u8 *)(WINDOW + 0x1001) = i + 40; show("", run_at(WINDOW)); } for (u32 i = 0; i < 70; i++) { *(volatile u8 *)(WINDOW + 1) = i; if (run_at(WINDOW) != i) put("wrong"); } nl();
  put("instruction across pages "); window[0] = base | 7; window[1] = (base + 0x1000) | 7; flush(); page[0][4094] = 0xb8; page[0][4095] = 0x10; memset(page[1], 0, 3); page[1][3] = 0xc3; memset(page[2], 0, 3); page[2][0] = 2; page[2][3] = 0xc3;
  show("", run_at(WINDOW + 0xffe)); page[1][0] = 1; show("", run_at(WINDOW + 0xffe)); window[1] = (base + 0x2000) | 7; invlpg(WINDOW + 0x1000); show("", run_at(WINDOW + 0xffe)); window[1] = (base + 0x1000) | 7; flush(); show("", run_at(WINDOW + 0xffe)); nl();
  put("next instruction rewritten "); { static const u8 self[] = { 0xc6, 0x05, 0x08, 0, 0, 0x30, 0x2a, 0xb8, 1, 0, 0, 0, 0xc3 }; memcpy(page[0], self, sizeof self); show("", run_at(WINDOW)); memcpy(page[0], self, sizeof self); page[0][6] = 0x2b; show("", run_at(WINDOW)); } nl();
  put("string over code "); { memcpy(page[0], count_code, 6); show("", run_at(WINDOW)); static u8 other[6] = { 0xb8, 9, 0, 0, 0, 0xc3 }; u32 c = 6; u8 *s = other; u32 d = WINDOW; ASM("rep movsb" : "+c"(c), "+S"(s), "+D"(d) :: "memory"); show("", run_at(WINDOW)); } nl();
  put("rights taken away "); window[0] = base | 7; flush(); *(volatile u32 *)WINDOW = 0xc3c3c3c3; window[0] = base | 5; put("later "); invlpg(WINDOW); RUN("movb $1,0x30000000"); window[0] = 0; invlpg(WINDOW); RUN("mov 0x30000000,%%eax"); nl();
}
static void large(void) {
  set_cr4(0, 0x10); put("4 MiB\n");
  for (u32 wp = 0; wp < 2; wp++) for (u32 f = 0; f < 4; f++) { static volatile u32 none; set_cr0(0x10000, wp << 16); pagedir[0xc0] = ((u32)page[0] & 0xffc00000) | 0x81 | f << 1; none = 0; show("wp", wp); show("pde", pagedir[0xc0] & 0xff); nl(); accesses(&pagedir[0xc0], &none); }
  set_cr0(0, 0x10000); pagedir[0xc0] = ((u32)page[0] & 0xffc00000) | 0x87; flush(); u32 offset = (u32)page[0] & 0x3fffff; memcpy(page[0], count_code, 6); memcpy(page[1], count_code, 6); show("run", run_at(WINDOW + offset)); show("", run_at(WINDOW + offset + 4096)); pagedir[0xc0] = (u32)window | 7; for (u32 i = 0; i < 1024; i++) window[i] = (u32)page[2] | 7; memcpy(page[2] + 0, count_code, 6); page[2][1] = 0x77; invlpg(WINDOW + offset); show("small", run_at(WINDOW + offset)); show("", run_at(WINDOW + offset + 4096)); nl(); set_cr4(0x10, 0);
}
static void pae(void) {
  paging_off(); put("PAE\n");
  for (int t = 0; t < 4; t++) { for (int i = 0; i < 512; i++) paepd[t][i] = 0; pdpt[t] = (u32)paepd[t] | 1; }
  for (int i = 0; i < 8; i++) paepd[0][i] = (u64)(i << 21) | 0x87;
  paepd[0][0x180] = (u32)window64 | 7;
  set_cr4(0, 0x20); ASM("mov %0,%%cr3" :: "r"(pdpt) : "memory"); set_cr0(0, 0x80010000);
  memset(page[0], 0xc3, 4096); window64[0] = (u32)page[0] | 7;
  rights((volatile u32 *)&paepd[0][0x180], (volatile u32 *)&window64[0], (u32)window64, (u32)page[0]);
  ASM("mov $0xc0000080,%%ecx; rdmsr; or $0x800,%%eax; wrmsr" ::: "eax", "ecx", "edx");
  for (u32 i = 0; i < 4; i++) { paepd[0][0x180] = (u32)window64 | 7 | (i & 1 ? 1ull << 63 : 0); window64[0] = (u32)page[0] | 7 | (i & 2 ? 1ull << 63 : 0); show("nx", i); nl(); accesses((volatile u32 *)&paepd[0][0x180], (volatile u32 *)&window64[0]); }
  paepd[0][0x180] = ((u32)page[0] & 0xffe00000) | 0x87 | 1ull << 63; flush(); put("2 MiB nx "); RUN("mov $0x30000000,%%eax; call *%%eax"); nl();
  set_cr0(0x80000000, 0); set_cr4(0x20, 0);
}
static void paging_tests(void) {
  for (int t = 0; t < 4; t++) { for (int i = 0; i < 1024; i++) pagetab[t][i] = (t << 22 | i << 12) | 7; pagedir[t] = (u32)pagetab[t] | 7; }
  paging_on(); memset(page[0], 0xc3, 4096);
  put("4 KiB\n"); rights(&pagedir[0xc0], &window[0], (u32)window, (u32)page[0]); pagedir[0xc0] = (u32)window | 7;
  put("middle\n"); middle(); put("stale\n"); stale(); large(); pae(); put("end\n");
}
