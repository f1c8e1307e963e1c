/* A small 32-bit kernel that exercises what programs cannot: descriptors, privilege, gates, tasks, paging, virtual-8086 mode.
   It writes what it sees to port 0xe9. Run by QEMU (its output is expected.txt) and by our CPU: see kernel.test.ts.
   Build: gcc -m32 -Os -w -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none -nostdlib -static -mno-sse
     -fno-omit-frame-pointer -Wl,-N,-Ttext=0x100000,--build-id=none kernel.c; objcopy -O binary gives kernel.bin.
   expected.txt: qemu-system-i386 -kernel kernel.elf -debugcon stdio -device isa-debug-exit,iobase=0xf4 -display none.
   Not in it, because QEMU is laxer than hardware: segment limits, RF in pushed flags, P in a reserved-bit page fault. */
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
#define ASM __asm__ volatile

__asm__(".text\n.align 4\n.long 0x1badb002,0,-0x1badb002\n.text\n"
  ".text\n.global _start\n_start: cli; mov $stack_top,%esp; cld; call kmain\n1: hlt; jmp 1b\n"
  ".bss\n.align 16\n.skip 16384\nstack_top:\n.text\n");

static void outb(u16 p, u8 v) { ASM("outb %0,%1" :: "a"(v), "Nd"(p)); }
static void put(const char *s) { while (*s) outb(0xe9, *s++); }
static void hex(u32 v) { char b[9]; int i = 8; b[8] = 0; do { b[--i] = "0123456789abcdef"[v & 15]; v >>= 4; } while (v); put(b + i); }
static void show(const char *name, u32 v) { put(name); put("="); hex(v); put(" "); }
static void nl(void) { put("\n"); }
void *memcpy(void *d, const void *s, u32 n) { u8 *a = d; const u8 *b = s; while (n--) *a++ = *b++; return d; }
void *memset(void *d, int c, u32 n) { u8 *a = d; while (n--) *a++ = c; return d; }

static u64 gdt[48] __attribute__((aligned(16)));
static u64 ldt[4] __attribute__((aligned(16)));
static u64 idt[256] __attribute__((aligned(16)));
struct tss { u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, r[8], es, cs, ss, ds, fs, gs, ldt; u16 trap, iomap; u8 map[132]; };
struct tss tss0 __attribute__((aligned(128))), tss1 __attribute__((aligned(128))), tss2 __attribute__((aligned(128)));
u8 kstack[8192] __attribute__((aligned(16))), ustack[4096] __attribute__((aligned(16))), tstack[4096] __attribute__((aligned(16))), dstack[4096] __attribute__((aligned(16)));
static volatile u32 pagedir[1024] __attribute__((aligned(4096))), pagetab[4][1024] __attribute__((aligned(4096)));
static volatile u64 pdpt[4] __attribute__((aligned(32))), paepd[4][512] __attribute__((aligned(4096))), paept[512] __attribute__((aligned(4096)));
u8 page[4][4096] __attribute__((aligned(4096)));

static u64 desc(u32 base, u32 limit, u32 flags) { /* flags: bits 8-15 and 20-23 of the second word */
  return (u64)((base & 0xff000000) | flags | (limit & 0xf0000) | ((base >> 16) & 0xff)) << 32 | (base << 16) | (limit & 0xffff);
}
static u64 gate(u32 sel, u32 off, u32 flags) { return (u64)((off & 0xffff0000) | flags) << 32 | (sel << 16) | (off & 0xffff); }
enum { KC = 8, KD = 16, UC = 27, UD = 35, TS0 = 40, TS1 = 48, TS2 = 56, LD = 64, NP = 72, RO = 80, XO = 88, DOWN = 96, CONF = 104, C16 = 112, D16 = 120, CG = 128, CG16 = 136, TG = 144, SMALL = 152, C1 = 160, D1 = 168, CGNP = 176, TSNP = 184 };

/* Faults: the handler prints them and goes back to where `attempt` was called. */
struct frame { u32 gs, fs, es, ds, edi, esi, ebp, espx, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, esp, ss, ves, vds, vfs, vgs; };
u32 save[6]; static const char *label; u32 base_eip; static int quiet; static u32 ticks;
int attempt(void (*f)(void)); void giveup(void);
__asm__("attempt: mov $save,%eax; mov %ebx,(%eax); mov %esi,4(%eax); mov %edi,8(%eax); mov %ebp,12(%eax); mov %esp,16(%eax)\n"
  " call *4(%esp)\n xor %eax,%eax; ret\n"
  "giveup: mov $16,%eax; mov %eax,%ds; mov %eax,%es; mov %eax,%ss; xor %eax,%eax; mov %eax,%fs; mov %eax,%gs; cld\n"
  " mov $save,%eax; mov (%eax),%ebx; mov 4(%eax),%esi; mov 8(%eax),%edi; mov 12(%eax),%ebp; mov 16(%eax),%esp\n"
  " pushl $2; popf; mov $1,%eax; ret\n");
static u32 cr2(void) { u32 v; ASM("mov %%cr2,%0" : "=r"(v)); return v; }
extern u8 v86_code[], v86_end[];
void handler(struct frame *f) {
  if (f->vector == 0x80) { /* system call: eax 0 ends the ring 3 part, 1 prints ebx */
    if (f->eax == 1) { show("user", f->ebx); return; }
    put("back from ring "); hex(f->cs & 3); show(" ss", f->ss); nl(); giveup();
  }
  if (f->vector == 0x20) { ticks++; return; }
  if (f->vector == 1 && ticks < 1000) { ticks++; show("step", f->eip - base_eip); if (ticks >= 4) f->eflags &= ~0x100; return; }
  if (f->vector == 13 && (f->eflags & 0x20000)) {
    u8 *p = (u8 *)(f->cs * 16 + f->eip);
    put("v86 "); hex(*p); show(" ip", f->eip); show("cs", f->cs); show("sp", f->esp); show("ss", f->ss); show("ds", f->vds); show("fl", f->eflags & 0x27202); show("ax", f->eax); nl();
    f->eip += *p == 0xcd || *p == 0xe4 || *p == 0xe6 ? 2 : 1;
    if (*p == 0xf4) { giveup(); }
    return;
  }
  put(label); show(": vector", f->vector); show("error", f->error); show("at", f->eip - base_eip); show("cs", f->cs);
  if (f->vector == 14) show("cr2", cr2());
  if (f->cs & 3) { show("ss", f->ss); }
  show("fl", f->eflags & 0xcd5);
  nl(); giveup();
}
__asm__("common: pusha; push %ds; push %es; push %fs; push %gs; mov $16,%eax; mov %eax,%ds; mov %eax,%es; cld; push %esp; call handler; add $4,%esp\n"
  " pop %gs; pop %fs; pop %es; pop %ds; popa; add $8,%esp; iret\n"
  ".macro stub n\n .align 16\n .if (\\n==8)||(\\n>=10&&\\n<=14)||(\\n==17)\n pushl $\\n; jmp common\n .else\n pushl $0; pushl $\\n; jmp common\n .endif\n.endm\n"
  ".align 16\nstubs:\n.set i,0\n.rept 32\n stub i\n.set i,i+1\n.endr\n.align 16\nstub80: pushl $0; pushl $0x80; jmp common\n.align 16\nstub20: pushl $0; pushl $0x20; jmp common\n");
extern u8 stubs[], stub80[], stub20[];
#define T(name, text) do { void body(void) { ASM("call 1f\n1: pop %%eax; mov %%eax,base_eip; " text ::: "eax","ecx","edx","ebx","memory","cc"); } label = name; if (!attempt(body)) { put(name); put(": no fault\n"); } } while (0)

/* Ring 3: text runs with flat user segments. */
void to_user(u32 eip, u32 esp, u32 eflags);
__asm__("to_user: mov 4(%esp),%eax; mov 8(%esp),%ecx; mov 12(%esp),%edx; mov $35,%ebx; mov %ebx,%ds; mov %ebx,%es; pushl $35; pushl %ecx; pushl %edx; pushl $27; pushl %eax; iret\n");
#define U(name, text) do { void body(void) { u32 at; ASM("jmp 2f\n1: " text "\n xor %%eax,%%eax; int $0x80\n2: mov $1b,%0" : "=r"(at)); base_eip = at; to_user(at, (u32)ustack + 4096, 0x202 & ~0x200); } label = name; attempt(body); } while (0)

static u32 lar(u32 s, u32 *z) { u32 v = 0xdead; u8 ok; ASM("lar %2,%0; setz %1" : "+r"(v), "=q"(ok) : "r"(s)); *z = ok; return v; }
static u32 lsl(u32 s, u32 *z) { u32 v = 0xdead; u8 ok; ASM("lsl %2,%0; setz %1" : "+r"(v), "=q"(ok) : "r"(s)); *z = ok; return v; }
static u32 ver(u32 s) { u8 r, w; ASM("verr %w2; setz %0; verw %w2; setz %1" : "=&q"(r), "=&q"(w) : "r"(s)); return r | w << 4; }
void task_body(void); void df_body(void);
__asm__("task_body: 1: call task_work; iret; jmp 1b\n");
static u32 read_tr(void) { u32 v = 0; ASM("str %0" : "=r"(v)); return v & 0xffff; }
static u32 eflags(void) { u32 v; ASM("pushf; pop %0" : "=r"(v)); return v; }
static u32 cr0(void) { u32 v; ASM("mov %%cr0,%0" : "=r"(v)); return v; }
void task_work(void) { put("in task "); show("tr", read_tr()); show("link", tss1.link & 0xffff); show("fl", eflags() & 0x4000); show("ts", cr0() & 8); nl(); }
extern u8 gate_target[], gate_target1[], user_gate[];
u32 gate_seen[6];
__asm__("gate_target: mov %cs,gate_seen; mov %ss,gate_seen+4; mov 8(%esp),%ecx; mov %ecx,gate_seen+8; mov 12(%esp),%ecx; mov %ecx,gate_seen+12; lret $8\n");

static void segments(void) {
  static const u16 sels[] = { 0, KC, KD, UC, UD, TS0, TS1, LD, NP, RO, XO, DOWN, CONF, C16, D16, CG, CG16, TG, SMALL, C1, D1, 4, 7, 15, 0x3f8, 0xfff8, UD & ~3, KD | 3 };
  for (u32 i = 0; i < sizeof sels / 2; i++) { u32 z1, z2; u32 a = lar(sels[i], &z1), l = lsl(sels[i], &z2); show("sel", sels[i]); show("lar", z1 ? a : 0x111); show("lsl", z2 ? l : 0x111); show("ver", ver(sels[i])); nl(); }
  T("load np", "mov $72,%%eax; mov %%eax,%%ds");
  T("load np ss", "mov $72,%%eax; mov %%eax,%%ss");
  T("load null ss", "xor %%eax,%%eax; mov %%eax,%%ss");
  T("load user ss", "mov $35,%%eax; mov %%eax,%%ss");
  T("load code in ss", "mov $8,%%eax; mov %%eax,%%ss");
  T("load xo in ds", "mov $88,%%eax; mov %%eax,%%ds");
  T("load tss in ds", "mov $40,%%eax; mov %%eax,%%ds");
  T("load beyond gdt", "mov $0xff8,%%eax; mov %%eax,%%es");
  T("lldt bad", "mov $16,%%eax; lldt %%ax");
  T("ltr busy", "mov $40,%%eax; ltr %%ax");
  T("jmp far data", "ljmp $16,$0"); T("jmp far np", "ljmp $72,$0"); T("jmp far user", "ljmp $24,$0"); T("jmp far null", "ljmp $0,$0");
  T("far call conforming", "mov %%esp,%%ecx; lcall $104,$1f; jmp 2f; 1: mov %%cs,%%eax; lret; 2: ");
  T("far call 16", "jmp 2f; .code16; 3: nop; nop; lretl; .code32; 2: mov $3b,%%eax; pushl $112; push %%eax; lcall *(%%esp); add $8,%%esp");
  T("iret nt", "pushf; orl $0x4000,(%%esp); popf; movw $0x48,tss0; iret");
  ASM("pushl $2; popf");
}
static void exceptions(void) {
  T("divide", "xor %%ecx,%%ecx; div %%ecx"); T("divide overflow", "mov $2,%%ecx; mov $2,%%edx; div %%ecx"); T("ud2", "ud2"); T("int3", "int3"); T("into", "mov $0x7fffffff,%%eax; inc %%eax; into");
  T("bound", "mov $9,%%eax; push $8; push $1; bound %%eax,(%%esp)"); T("int no gate", "int $0x44"); T("int beyond", "int $0xff"); T("lock nop", ".byte 0xf0,0x90"); T("long", ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
  T("nm", "mov %%cr0,%%eax; or $4,%%eax; mov %%eax,%%cr0; fnop"); ASM("mov %%cr0,%%eax; and $~4,%%eax; mov %%eax,%%cr0" ::: "eax");
  T("mov cr1", ".byte 0x0f,0x22,0xc8");
  ticks = 0; label = "step"; { void body(void) { ASM("mov $1f,%%eax; mov %%eax,base_eip; pushf; orl $0x100,(%%esp); popf\n1: nop; nop; mov %%ss,%%eax; mov %%eax,%%ss; nop; nop; nop; nop" ::: "eax", "cc"); } attempt(body); } nl(); ticks = 0;
  T("eflags", "pushl $0x3fffff; popf; pushf; pop %%ebx; pushl $2; popf; mov %%ebx,%%eax; mov $0x3ffed7,%%ecx; cmp %%ebx,%%ecx");
}
static void rings(void) {
  U("syscall", "mov $0x1234,%%ebx; mov $1,%%eax; int $0x80; mov %%cs,%%ebx; mov $1,%%eax; int $0x80");
  U("user cli", "cli"); U("user hlt", "hlt"); U("user in", "in $0x60,%%al"); U("user in allowed", "in $0xe9,%%al"); U("user in word over edge", "mov $0xef,%%dx; in %%dx,%%ax"); U("user cr0", "mov %%cr0,%%eax"); U("user lgdt", "lgdt 0x100000"); U("user lmsw", "mov $1,%%eax; lmsw %%ax"); U("user smsw", "smsw %%eax; mov %%eax,%%ebx; and $0xffff,%%ebx; mov $1,%%eax; int $0x80");
  U("user int 13", "int $13"); U("user int3", "int3"); U("user load kd", "mov $16,%%eax; mov %%eax,%%ds"); U("user popf", "pushl $0x3202; popf; pushf; pop %%ebx; mov $1,%%eax; int $0x80"); U("user invlpg", "invlpg 0x100000"); U("user wrmsr", "wrmsr"); U("user clts", "clts"); U("user iret to kernel", "pushf; pushl $8; pushl $0x100000; iret"); U("user retf to kernel", "pushl $8; pushl $0x100000; lret"); U("user jmp kernel", "ljmp $8,$0x100000"); U("user call conforming", "lcall $104,$3f; mov %%cs,%%ebx; mov $1,%%eax; int $0x80; jmp 4f; 3: lret; 4:"); U("user str", "xor %%ebx,%%ebx; str %%ebx; mov $1,%%eax; int $0x80");
  U("call gate", "pushl $0x77; pushl $0x88; lcall $131,$0; mov %%cs,%%ebx; mov $1,%%eax; int $0x80"); show("gate cs", gate_seen[0]); show("ss", gate_seen[1]); show("p1", gate_seen[2]); show("p2", gate_seen[3]); nl();
  U("call gate np", "lcall $176,$0"); U("call gate rpl", "lcall $128,$0; mov $1,%%eax; mov %%esp,%%ebx; sub $ustack,%%ebx; int $0x80");
  T("gate from 0", "pushl $1; pushl $2; lcall $128,$0");
  U("arpl", "mov $0x10,%%eax; mov $3,%%ecx; arpl %%cx,%%ax; mov %%eax,%%ebx; mov $1,%%eax; int $0x80");
  U("user hole esp", "mov $16,%%esp; push %%eax");
  ASM("wrmsr" :: "a"(KC), "d"(0), "c"(0x174)); ASM("wrmsr" :: "a"((u32)kstack + 8192), "d"(0), "c"(0x175)); extern u8 sysent[]; ASM("wrmsr" :: "a"((u32)sysent), "d"(0), "c"(0x176));
  U("sysenter", "mov %%esp,%%ecx; mov $5f,%%edx; sysenter; 5: mov %%cs,%%ebx; mov $1,%%eax; int $0x80; mov %%ss,%%ebx; mov $1,%%eax; int $0x80");
}
__asm__("sysent: mov %cs,%eax; mov %ss,%ebx; sysexit\n");
static void tasks(void) {
  memset(&tss1, 0, sizeof tss1); tss1.cs = KC; tss1.ss = tss1.ds = tss1.es = KD; tss1.fs = tss1.gs = KD; tss1.eip = (u32)task_body; tss1.r[4] = (u32)tstack + 4096; tss1.eflags = 2; tss1.iomap = 104; ASM("mov %%cr3,%0" : "=r"(tss1.cr3));
  put("call task\n"); ASM("lcall $48,$0" ::: "memory"); show("back tr", read_tr()); show("fl", eflags() & 0x4000); nl();
  put("call task by gate\n"); ASM("lcall $144,$0" ::: "memory"); show("back tr", read_tr()); nl();
  put("int task gate\n"); idt[0x50] = gate(TG, 0, 0x8500); idt[0x50] = gate(TS1, 0, 0x8500); ASM("int $0x50" ::: "memory"); show("back tr", read_tr()); show("tss0 busy", (u32)(gdt[TS0 / 8] >> 40) & 2); nl();
  T("jmp busy task", "ljmp $40,$0"); T("jmp task np", "ljmp $184,$0");
  ASM("mov %%cr0,%%eax; and $~8,%%eax; mov %%eax,%%cr0" ::: "eax");
}
static void paging_on(void) { ASM("mov %0,%%cr3; mov %%cr0,%%eax; or $0x80010000,%%eax; mov %%eax,%%cr0" :: "r"(pagedir) : "eax", "memory"); }
static void paging_off(void) { ASM("mov %%cr0,%%eax; and $0x7ffeffff,%%eax; mov %%eax,%%cr0" ::: "eax", "memory"); }
static void paging(void) {
  for (int t = 0; t < 4; t++) { for (int i = 0; i < 1024; i++) pagetab[t][i] = (t << 22 | i << 12) | 7; pagedir[t] = (u32)pagetab[t] | 7; }
  volatile u32 *pte = &pagetab[(u32)page[0] >> 22][((u32)page[0] >> 12) & 1023];
  paging_on();
  *(volatile u32 *)page[1]; show("after read", pte[1] & 0xfff); *(volatile u32 *)page[1] = 1; show("after write", pte[1] & 0xfff); show("dir", pagedir[(u32)page[0] >> 22] & 0xfff); nl();
  pte[0] &= ~1; pte[1] &= ~2; pte[2] &= ~4; ASM("mov %%cr3,%%eax; mov %%eax,%%cr3" ::: "eax");
  T("read absent", "mov page,%%eax"); T("write absent", "mov %%eax,page+0xffc"); T("write ro wp", "mov %%eax,page+4096"); T("split read", "mov page-2,%%eax"); T("split write", "mov %%eax,page-2"); T("exec absent", "mov $page,%%eax; jmp *%%eax"); T("rep into absent", "mov $page-16,%%edi; mov $64,%%ecx; rep stosb");
  U("user supervisor page", "mov page+8192,%%eax"); U("user write ro", "mov %%eax,page+4096"); U("user absent", "mov page,%%eax");
  ASM("mov %%cr0,%%eax; and $~0x10000,%%eax; mov %%eax,%%cr0" ::: "eax"); T("write ro no wp", "mov %%eax,page+4096"); show("dirty", pte[1] & 0xfff); nl();
  ASM("mov %%cr4,%%eax; or $0x10,%%eax; mov %%eax,%%cr4" ::: "eax"); pagedir[0x80] = 0x87; pagedir[0x81] = 0x00200087; ASM("mov %%cr3,%%eax; mov %%eax,%%cr3" ::: "eax");
  show("4m", *(u32 *)(0x20000000 + (u32)&base_eip) == base_eip); show("pde", pagedir[0x80] & 0xfff); nl();
  /* demand: the handler is not used, INVLPG makes the change visible */
  pte[3] = (u32)page[1] | 7; ASM("invlpg %0" :: "m"(page[3])); page[1][0] = 0x5c; show("alias", page[3][0]); nl();
  paging_off(); ASM("mov %%cr4,%%eax; and $~0x10,%%eax; mov %%eax,%%cr4" ::: "eax");
  /* PAE */
  for (int t = 0; t < 4; t++) { for (int i = 0; i < 512; i++) paepd[t][i] = 0; pdpt[t] = (u32)paepd[t] | 1; }
  for (int i = 0; i < 8; i++) paepd[0][i] = (u64)(i << 21) | 0x87; for (int i = 0; i < 512; i++) paept[i] = ((u32)page[0] & ~0x1fffff) + (i << 12) | 7; paepd[1][0] = (u32)paept | 7; u32 index = ((u32)page[2] >> 12) & 511; paept[index] = (u32)page[1] | 5; pdpt[3] = 0;
  ASM("mov %%cr4,%%eax; or $0x20,%%eax; mov %%eax,%%cr4; mov %0,%%cr3; mov %%cr0,%%eax; or $0x80010000,%%eax; mov %%eax,%%cr0" :: "r"(pdpt) : "eax", "memory");
  u32 window = 0x40000000 + ((u32)page[2] & 0x1fffff); show("pae", *(volatile u8 *)window); show("pte", (u32)paept[index] & 0xfff); show("pde", (u32)paepd[1][0] & 0xfff); nl();
  { void body(void) { *(volatile u8 *)(0x40000000 + ((u32)page[2] & 0x1fffff)) = 1; } label = "pae write ro"; base_eip = (u32)body; quiet = 1; if (!attempt(body)) put("no fault\n"); }
  T("pae absent pdpte", "mov 0xc0000000,%%eax"); T("pae absent", "mov 0x48000000,%%eax");
  ASM("mov %%cr0,%%eax; and $0x7ffeffff,%%eax; mov %%eax,%%cr0; mov %%cr4,%%eax; and $~0x20,%%eax; mov %%eax,%%cr4" ::: "eax", "memory");
}
__asm__(".code16\nv86_code: mov %cs,%ax; mov %ax,%ds; pushf; pop %bx; int $0x21; cli; sti; pushf; popf; mov $0x1234,%ax; push %ax; mov %sp,%bp; mov (%bp),%cx; in $0x60,%al; out %al,$0xe9; mov $0x55,%al; mov %al,2f-v86_code; call 1f; jmp 3f; 1: inc %ax; ret; 2: .word 0; 3: mov 2b-v86_code,%dx; lcall $0x900,$4f-v86_code; hlt; 4: lret\nv86_end: .code32\n");
void to_v86(u32 iopl);
__asm__("to_v86: mov 4(%esp),%eax; pushl $0; pushl $0; pushl $0x900; pushl $0x900; pushl $0x8000; pushl $0x100; or $0x20202,%eax; and $~0x200,%eax; pushl %eax; pushl $0x900; pushl $0; mov $0xabcd,%eax; iret\n");
static void v86(void) {
  memcpy((void *)0x9000, v86_code, v86_end - v86_code);
  put("v86 iopl 0\n"); { void body(void) { to_v86(0); } label = "v86"; base_eip = 0; attempt(body); }
  put("v86 iopl 3\n"); memcpy((void *)0x9000, v86_code, v86_end - v86_code); { void body(void) { to_v86(0x3000); } label = "v86"; base_eip = 0; attempt(body); }
}
void kmain(void) {
  outb(0x21, 0xff); outb(0xa1, 0xff);
  struct { u16 limit; u32 base; } __attribute__((packed)) gp = { sizeof gdt - 1, (u32)gdt }, ip = { 0x81 * 8 - 1, (u32)idt };
  gdt[1] = desc(0, 0xfffff, 0xc09b00); gdt[2] = desc(0, 0xfffff, 0xc09200); gdt[3] = desc(0, 0xfffff, 0xc0fa00); gdt[4] = desc(0, 0xfffff, 0xc0f200);
  gdt[TS0 / 8] = desc((u32)&tss0, sizeof tss0 - 1, 0x8900); gdt[TS1 / 8] = desc((u32)&tss1, sizeof tss1 - 1, 0x8900); gdt[TS2 / 8] = desc((u32)&tss2, sizeof tss2 - 1, 0x8900);
  gdt[LD / 8] = desc((u32)ldt, sizeof ldt - 1, 0x8200); gdt[NP / 8] = desc(0, 0xfffff, 0xc01200); gdt[RO / 8] = desc(0x100000, 0xfffff, 0xc09000); gdt[XO / 8] = desc(0, 0xfffff, 0xc09800); gdt[DOWN / 8] = desc(0x100000, 0xfff, 0x9600); gdt[CONF / 8] = desc(0, 0xfffff, 0xc09e00);
  gdt[C16 / 8] = desc(0x100000, 0xffff, 0x9a00); gdt[C16 / 8] = desc(0, 0xfffff, 0x809a00); gdt[D16 / 8] = desc(0, 0xffff, 0x9200); gdt[CG / 8] = gate(KC, (u32)gate_target, 0xec02); gdt[CG16 / 8] = gate(KC, 0x1234, 0xe400); gdt[TG / 8] = gate(TS1, 0, 0xe500); gdt[SMALL / 8] = desc((u32)page[0], 0xfff, 0x409200); gdt[C1 / 8] = desc(0, 0xfffff, 0xc0ba00); gdt[D1 / 8] = desc(0, 0xfffff, 0xc0b200); gdt[CGNP / 8] = gate(KC, 0, 0x6c00); gdt[TSNP / 8] = desc((u32)&tss2, sizeof tss2 - 1, 0x0900);
  ldt[1] = desc((u32)page[0], 0xfff, 0x409200);
  ASM("lgdt %0; ljmp $8,$1f; 1: mov $16,%%eax; mov %%eax,%%ds; mov %%eax,%%es; mov %%eax,%%ss; xor %%eax,%%eax; mov %%eax,%%fs; mov %%eax,%%gs" :: "m"(gp) : "eax");
  for (int i = 0; i < 32; i++) idt[i] = gate(KC, (u32)stubs + i * 16, i == 3 || i == 4 || i == 5 ? 0xee00 : 0x8e00);
  idt[0x80] = gate(KC, (u32)stub80, 0xee00); idt[0x20] = gate(KC, (u32)stub20, 0x8e00); idt[0x44] = gate(KC, 0, 0x0e00);
  ASM("lidt %0" :: "m"(ip));
  tss0.esp0 = (u32)kstack + 8192; tss0.ss0 = KD; tss0.iomap = 104; memset(tss0.map, 0xff, 132); tss0.map[0xe9 >> 3] = 0xfd; tss0.map[0xe8 >> 3] &= ~2; tss0.map[0xef >> 3] &= ~0x80;
  ASM("ltr %w0; lldt %w1" :: "r"(TS0), "r"(LD));
#ifdef TESTS
  TESTS
#else
  put("segments\n"); segments(); put("exceptions\n"); exceptions(); put("rings\n"); rings(); put("paging\n"); paging(); put("v86\n"); v86(); put("tasks\n"); tasks(); put("end\n");
#endif
  outb(0xf4, 0); ASM("cli; hlt");
}
