/* Long mode: what kernel.c does for 32-bit code. Frames, IST, privilege, gates, SYSCALL and its kin, compatibility mode, paging.
   Build: gcc -m64 -Os -w -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none -nostdlib -static -mno-sse -mno-red-zone
     -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -Wl,-N,-Ttext=0x100000,--build-id=none long.c;
   objcopy -O elf32-i386 for QEMU, objcopy -O binary gives long.bin.
   long.txt: qemu-system-x86_64 -cpu qemu64,+pdpe1gb,+fsgsbase,+smap -kernel long.elf -debugcon stdio -device isa-debug-exit,iobase=0xf4
     -display none.
   Not in it, because QEMU is laxer than hardware: changes of CR0 and CR4 that leave long mode, code segments with L and D, #SS for stack
   addresses that are not canonical, limits of compatibility segments, bases that are not canonical, P in a reserved-bit page fault,
   error codes that name a vector (QEMU has 16 times its number). */
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
#define ASM __asm__ volatile

__asm__(".text\n.align 4\n.long 0x1badb002,0,-0x1badb002\n.code32\n.globl _start\n_start: cli; cld; mov $stack_top,%esp\n"
  " movl $pdpt+7,pml4; movl $pd+7,pdpt; movl $pdhigh+7,pml4+0x800\n mov $pd,%edi; mov $0x87,%eax; mov $8,%ecx\n1: mov %eax,(%edi); add $0x200000,%eax; add $8,%edi; loop 1b\n"
  " mov $pml4,%eax; mov %eax,%cr3; mov %cr4,%eax; or $0x20,%eax; mov %eax,%cr4\n"
  " mov $0xc0000080,%ecx; rdmsr; or $0x901,%eax; wrmsr; mov %cr0,%eax; or $0x80010001,%eax; mov %eax,%cr0\n"
  " lgdt pointer; ljmp $8,$2f\n.code64\n2: mov $16,%eax; mov %eax,%ds; mov %eax,%es; mov %eax,%ss; xor %eax,%eax; mov %eax,%fs; mov %eax,%gs; mov $stack_top,%rsp; call kmain\n1: hlt; jmp 1b\n"
  ".align 8\npointer: .word gdt_end-gdt-1\n .quad gdt\n.bss\n.align 16\n.skip 16384\nstack_top:\n.text\n");

static void outb(u16 p, u8 v) { ASM("outb %0,%1" :: "a"(v), "Nd"(p)); }
static void put(const char *s) { while (*s) outb(0xe9, *s++); }
static void hex(u64 v) { char b[17]; int i = 16; b[16] = 0; do { b[--i] = "0123456789abcdef"[v & 15]; v >>= 4; } while (v); put(b + i); }
static void show(const char *name, u64 v) { put(name); put("="); hex(v); put(" "); }
static void nl(void) { put("\n"); }
void *memset(void *d, int c, u64 n) { u8 *a = d; while (n--) *a++ = c; return d; }
void *memcpy(void *d, const void *s, u64 n) { u8 *a = d; const u8 *b = s; while (n--) *a++ = *b++; return d; }

/* 8 code, 16 data, 24 user code 32, 32 user data, 40 user code 64, 48 TSS (two), 64 call gate (two), 80 code 32, 88 task gate, 96 LDT (two),
   112 conforming, 120 not present, 128 code with L and D, 136 call gate to 32-bit code (two), 152 16-bit data; SYSRET wants 24, 32, 40. */
__asm__(".data\n.align 16\n.globl gdt\ngdt: .quad 0,0x00af9b000000ffff,0x00cf93000000ffff,0x00cffb000000ffff,0x00cff3000000ffff,0x00affb000000ffff,0,0,0,0,0x00cf9b000000ffff,0x0000e50000300000,0,0,"
  "0x00af9f000000ffff,0x00af1b000000ffff,0x00ef9b000000ffff,0,0,0x000093000000ffff\ngdt_end:\n.text\n");
extern u64 gdt[];
enum { KC = 8, KD = 16, UC32 = 27, UD = 35, UC = 43, TSS = 48, CG = 64, KC32 = 80, TG = 88, LD = 96, CONF = 112, NP = 120, LANDD = 128, CG32 = 136, D16 = 152 };
static u64 idt[512] __attribute__((aligned(16)));
struct tss { u32 zero; u64 rsp[3], zero2, ist[7], zero3; u16 zero4, iomap; u8 map[132]; } __attribute__((packed)) tss __attribute__((aligned(128)));
u8 kstack[8192] __attribute__((aligned(16))), ustack[4096] __attribute__((aligned(16))), istack[4096] __attribute__((aligned(16)));
volatile u64 pml4[512] __attribute__((aligned(4096))), pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096))), pdhigh[512] __attribute__((aligned(4096))), pt[512] __attribute__((aligned(4096))), pd2[512] __attribute__((aligned(4096)));
u8 page[4][4096] __attribute__((aligned(4096)));

struct frame { u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax, vector, error, rip, cs, rflags, rsp, ss; };
u64 save[8], base_rip; static const char *label; static u32 ticks;
int attempt(void (*f)(void)); void giveup(void);
__asm__("attempt: mov $save,%eax; mov %rbx,(%rax); mov %rbp,8(%rax); mov %r12,16(%rax); mov %r13,24(%rax); mov %r14,32(%rax); mov %r15,40(%rax); mov %rsp,48(%rax)\n"
  " call *%rdi\n xor %eax,%eax; ret\n"
  "giveup: mov $16,%eax; mov %eax,%ds; mov %eax,%es; mov %eax,%ss; cld; mov $save,%eax; mov (%rax),%rbx; mov 8(%rax),%rbp; mov 16(%rax),%r12; mov 24(%rax),%r13; mov 32(%rax),%r14; mov 40(%rax),%r15; mov 48(%rax),%rsp\n"
  " push $2; popf; mov $1,%eax; ret\n");
static u64 cr2(void) { u64 v; ASM("mov %%cr2,%0" : "=r"(v)); return v; }
static u64 rdmsr(u32 n) { u32 a, d; ASM("rdmsr" : "=a"(a), "=d"(d) : "c"(n)); return (u64)d << 32 | a; }
static void wrmsr(u32 n, u64 v) { ASM("wrmsr" :: "a"((u32)v), "d"((u32)(v >> 32)), "c"(n)); }
void handler(struct frame *f) {
  if (f->vector == 0x80) { /* rax 1 prints rbx, 2 the frame; else it is over */
    if ((u32)f->rax == 1) { show("user", f->rbx); return; }
    if ((u32)f->rax == 2) { show("rsp&15", f->rsp & 15); show("frame&15", (u64)f & 15); show("ss", f->ss); show("cs", f->cs); show("fl", f->rflags & 0x202); return; }
    put("back from ring "); hex(f->cs & 3); show(" ss", f->ss); nl(); giveup();
  }
  if (f->vector == 0x81) { show("on ist", (u8 *)f > istack && (u8 *)f < istack + 4096); show("ss", f->ss); show("cs", f->cs); return; }
  if (f->vector == 1 && ticks < 1000) { ticks++; show("step", f->rip - base_rip); if (ticks >= 4) f->rflags &= ~0x100; return; }
  put(label); show(": vector", f->vector); show("error", f->error); if (f->rip - base_rip < 0x1000) show("at", f->rip - base_rip); show("cs", f->cs);
  if (f->vector == 14) show("cr2", cr2() < 0x200000 ? cr2() & 0xfff : cr2());
  if (f->cs & 3) show("ss", f->ss);
  show("fl", f->rflags & 0xcd5); nl(); giveup();
}
__asm__("common: push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15; cld; mov %rsp,%rdi; call handler\n"
  " pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax; add $16,%rsp; iretq\n"
  ".macro stub n\n .align 16\n .if (\\n==8)||(\\n>=10&&\\n<=14)||(\\n==17)\n push $\\n; jmp common\n .else\n push $0; push $\\n; jmp common\n .endif\n.endm\n"
  ".align 16\nstubs:\n.set i,0\n.rept 32\n stub i\n.set i,i+1\n.endr\n.align 16\nstub80: push $0; pushq $0x80; jmp common\n.align 16\nstub81: push $0; pushq $0x81; jmp common\n");
extern u8 stubs[], stub80[], stub81[];
#define T(name, text) do { void body(void) { ASM("lea 1f(%%rip),%%rax; mov %%rax,base_rip; 1: " text ::: "rax","rcx","rdx","rbx","rsi","rdi","r8","r9","r10","r11","memory","cc"); } label = name; if (!attempt(body)) { put(name); put(": no fault\n"); } } while (0)
void to_user(u64 rip, u64 rsp, u64 rflags, u64 cs);
__asm__("to_user: push $35; push %rsi; push %rdx; push %rcx; push %rdi; mov $35,%eax; mov %eax,%ds; mov %eax,%es; iretq\n");
#define U(name, text) do { void body(void) { u64 at; ASM("jmp 2f\n1: " text "\n xor %%eax,%%eax; int $0x80\n2: lea 1b(%%rip),%0" : "=r"(at)); base_rip = at; to_user(at, (u64)ustack + 4088, 2, UC); } label = name; attempt(body); } while (0)
#define C(name, text) do { void body(void) { u64 at; ASM("jmp 2f\n.code32\n1: " text "\n xor %%eax,%%eax; int $0x80\n.code64\n2: lea 1b(%%rip),%0" : "=r"(at)); base_rip = at; to_user(at, (u64)ustack + 4092, 2, UC32); } label = name; attempt(body); } while (0)
#define SAY " mov $1,%%eax; int $0x80; "

static u64 lar(u32 s) { u64 v = 0xdead0000dead; u8 ok; ASM("lar %k2,%k0; setz %1" : "+r"(v), "=q"(ok) : "r"((u64)s)); return ok ? v : 0x111; }
static u64 lsl(u32 s) { u64 v = 0xdead; u8 ok; ASM("lsl %k2,%k0; setz %1" : "+r"(v), "=q"(ok) : "r"((u64)s)); return ok ? v : 0x111; }
static void segments(void) {
  static const u16 sels[] = { 0, KC, KD, UC32, UD, UC, TSS, TSS + 8, CG, KC32, LD, LD + 8, CONF, NP, LANDD, D16, 0xff8 };
  for (u32 i = 0; i < sizeof sels / 2; i++) { show("sel", sels[i]); show("lar", lar(sels[i])); show("lsl", lsl(sels[i])); nl(); }
  T("null ss", "xor %%eax,%%eax; mov %%eax,%%ss; mov $16,%%eax; mov %%eax,%%ss"); T("np ds", "mov $120,%%eax; mov %%eax,%%ds"); T("code in ss", "mov $8,%%eax; mov %%eax,%%ss");
  T("jmp data", "push $16; push $0; .byte 0x48; ljmp *(%%rsp)"); T("jmp tss", "push $48; push $0; rex.w ljmp *(%%rsp)"); T("jmp task gate", "push $88; push $0; rex.w ljmp *(%%rsp)"); T("jmp np", "push $120; push $0; rex.w ljmp *(%%rsp)");
  T("ltr busy", "mov $48,%%eax; ltr %%ax"); T("iret nt", "pushf; orl $0x4000,(%%rsp); popf; iretq"); ASM("push $2; popf");
  T("gate from 0", "mov %%rsp,%%rbx; movw $64,gate_pointer+4; lcall *gate_pointer"); show("gate cs", *(u64 *)0x7000); show("sp", *(u64 *)0x7008); nl();
  T("gate to code 32", "movw $136,gate_pointer+4; lcall *gate_pointer");
  T("far call", "lea 3f(%%rip),%%rax; push $8; push %%rax; rex.w lcall *(%%rsp); add $16,%%rsp; jmp 4f; 3: mov (%%rsp),%%rcx; mov 8(%%rsp),%%rdx; lretq; 4:");
}
__asm__("gate: mov %cs,%eax; mov %rax,0x7000; sub %rsp,%rbx; mov %rbx,0x7008; lretq\nuser_gate: mov %cs,%eax; mov %rax,0x7000; mov %ss,%eax; mov %rax,0x7008; mov (%rsp),%rax; mov %rax,0x7010; mov 8(%rsp),%rax; mov %rax,0x7018; mov 16(%rsp),%rax; mov %rax,0x7020; mov 24(%rsp),%rax; mov %rax,0x7028; lretq\n.data\ngate_pointer: .long 0; .word 64\n.text\n");
static void exceptions(void) {
  T("divide", "xor %%ecx,%%ecx; div %%rcx"); T("divide overflow", "mov $2,%%ecx; mov $2,%%edx; div %%rcx"); T("divide signed", "xor %%edx,%%edx; mov $1,%%eax; ror $1,%%rax; mov $-1,%%rdx; mov $-1,%%rcx; idiv %%rcx"); T("ud2", "ud2"); T("int3", "int3");
  T("push es", ".byte 0x06"); T("into", ".byte 0xce"); T("aam", ".byte 0xd4,0x0a"); T("ljmp", ".byte 0xea,0,0,0,0,8,0"); T("pusha", ".byte 0x60"); T("les", ".byte 0xc4,0"); T("82", ".byte 0x82,0xc0,1"); T("lock nop", ".byte 0xf0,0x90"); T("syscall off", "mov $0xc0000080,%%ecx; rdmsr; and $~1,%%eax; wrmsr; syscall"); wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
  T("not canonical", "mov $1,%%rax; ror $4,%%rax; mov (%%rax),%%rcx"); T("not canonical write", "mov $1,%%rax; ror $8,%%rax; mov %%rcx,(%%rax)"); T("not canonical edge", "mov $0x7ffffffffffc,%%rax; mov 4(%%rax),%%rcx");
  T("mov cr1", ".byte 0x0f,0x22,0xc8"); T("cr8", "mov $5,%%eax; mov %%rax,%%cr8; mov %%cr8,%%rbx; xor %%eax,%%eax; mov %%rax,%%cr8; cmp $5,%%rbx; je 2f; ud2; 2:");
  ASM("int $0x81"); nl();
  for (int i = 0; i < 3; i++) { ASM("mov %%rsp,%%rbx; sub %0,%%rsp; mov $2,%%eax; int $0x80; mov %%rbx,%%rsp" :: "r"((u64)i * 8) : "rax", "rbx"); } nl();
  ticks = 0; label = "step"; { void body(void) { ASM("lea 1f(%%rip),%%rax; mov %%rax,base_rip; pushf; orl $0x100,(%%rsp); popf\n1: nop; nop; mov %%ss,%%eax; mov %%eax,%%ss; nop; nop; nop; nop" ::: "rax", "cc"); } attempt(body); } nl(); ticks = 2000;
}
extern u8 sysentry[], senter[], cstar[];
__asm__("sysentry: mov %rcx,0x7000; mov %r11,0x7008; mov %cs,%eax; mov %rax,0x7010; mov %ss,%eax; mov %rax,0x7018; pushf; pop %rax; mov %rax,0x7020; test %ebx,%ebx; jz 1f; sysretl\n1: rex.w sysretl\n"
  "cstar: mov %rcx,0x7000; mov %cs,%eax; mov %rax,0x7010; sysretl\n"
  "senter: mov %cs,%eax; mov %rax,0x7000; mov %ss,%eax; mov %rax,0x7008; mov %rsp,0x7010; test %ebx,%ebx; jz 1f; sysexit\n1: rex.w sysexit\n");
static void seen(void) { for (int i = 0; i < 5; i++) show(" ", ((u64 *)0x7000)[i] & 0xfffff); nl(); }
static void rings(void) {
  U("ring 3", "mov $0x123456789abcdef0,%%rbx;" SAY "mov %%cs,%%ebx;" SAY "mov %%ss,%%ebx;" SAY "push %%rax; mov $2,%%eax; int $0x80");
  U("user cli", "cli"); U("user hlt", "hlt"); U("user in", "in $0x60,%%al"); U("user in allowed", "in $0xe9,%%al"); U("user cr8", "mov %%cr8,%%rax"); U("user swapgs", "swapgs"); U("user wrmsr", "wrmsr"); U("user int3", "int3"); U("user kernel ds", "mov $16,%%eax; mov %%eax,%%ds"); U("user null ss", "xor %%eax,%%eax; mov %%eax,%%ss"); U("user popf", "push $0x3202; popf; pushf; pop %%rbx;" SAY);
  U("user iretq to kernel", "push $16; push %%rsp; pushf; push $8; push $0x100000; iretq"); U("user lret to kernel", "push $8; push $0x100000; lretq");
  U("user conforming", "movw $112,gate_pointer+4; movl $user_conf,gate_pointer; lcall *gate_pointer;" SAY); gdt[CG / 8] = (gdt[CG / 8] & ~0xffffffffull) | ((u64)KC << 16) | ((u64)"" & 0);
  extern u8 user_gate[]; gdt[CG / 8] = ((u64)user_gate & 0xffff) | KC << 16 | 0xec00ull << 32 | ((u64)user_gate & 0xffff0000) << 32;
  U("user gate", "movl $0,gate_pointer; movw $67,gate_pointer+4; lcall *gate_pointer; mov %%cs,%%ebx;" SAY); for (int i = 0; i < 6; i++) show(" ", i == 2 ? 0 : i == 4 ? ((u64 *)0x7000)[i] - (u64)ustack : ((u64 *)0x7000)[i]); nl();
  wrmsr(0xc0000081, (u64)24 << 48 | (u64)8 << 32); wrmsr(0xc0000082, (u64)sysentry); wrmsr(0xc0000083, (u64)cstar); wrmsr(0xc0000084, 0x44700);
  U("syscall", "xor %%ebx,%%ebx; stc; syscall; mov %%cs,%%ebx;" SAY "mov %%ss,%%ebx;" SAY "pushf; pop %%rbx; and $0xcd5,%%ebx;" SAY); for (int i = 1; i < 5; i++) show(" ", ((u64 *)0x7000)[i] & (i == 1 || i == 4 ? 0x602 : -1)); nl();
  U("sysretl", "mov $1,%%ebx; syscall; .code32; mov %%cs,%%ebx; mov $1,%%eax; int $0x80; xor %%eax,%%eax; int $0x80; .code64");
  C("syscall 32", "syscall; mov %%cs,%%ebx;" SAY); show("cs", *(u64 *)0x7010); nl();
  wrmsr(0x174, KC); wrmsr(0x175, (u64)kstack + 4096); wrmsr(0x176, (u64)senter);
  gdt[(KC + 32) / 8] = gdt[UC / 8]; U("sysenter", "xor %%ebx,%%ebx; mov %%rsp,%%rcx; lea 5f(%%rip),%%rdx; sysenter; 5: mov %%cs,%%ebx;" SAY "mov %%ss,%%ebx;" SAY); show("cs", *(u64 *)0x7000); show("ss", *(u64 *)0x7008); show("rsp", *(u64 *)0x7010 - (u64)kstack); nl();
  U("sysexit 32", "mov $1,%%ebx; mov %%rsp,%%rcx; lea 6f(%%rip),%%rdx; sysenter; .code32; 6: mov %%cs,%%ebx; mov $1,%%eax; int $0x80; xor %%eax,%%eax; int $0x80; .code64");
}
__asm__("user_conf: mov %cs,%ebx; lretl\n");
static void compatibility(void) {
  C("compat", "mov $-1,%%ebx; inc %%ebx;" SAY "mov %%cs,%%ebx;" SAY "push %%ebx; pop %%ecx; mov $2,%%eax; int $0x80");
  C("compat inc", ".byte 0x40,0x40; mov %%eax,%%ebx; and $0xff,%%ebx"); C("compat cli", "cli"); C("compat to kernel", "ljmp $8,$0x100000"); C("compat not present", "mov 0x40000000,%%eax");
  C("compat to 64", "ljmp $43,$7f; .code64; 7: mov $0x1122334455667788,%%rbx; mov $1,%%eax; int $0x80; xor %%eax,%%eax; int $0x80; .code32");
  C("compat int 81", "int $0x81"); C("compat iret", "pushl $35; pushl $ustack+2048; pushf; pushl $27; pushl $8f; iret; 8: mov %%esp,%%ebx; sub $ustack,%%ebx;" SAY);
  T("kernel compat", "mov %%rsp,%%rbx; push $80; lea 3f(%%rip),%%rax; push %%rax; lretq; .code32; 3: mov $0x12345678,%%ecx; inc %%ecx; ljmp $8,$4f; .code64; 4: mov %%rbx,%%rsp; cmp $0x12345679,%%rcx; je 5f; ud2; 5:");
}
static void bases(void) {
  wrmsr(0xc0000100, 0xffff800000001000); wrmsr(0xc0000101, (u64)page[0]); wrmsr(0xc0000102, (u64)page[1]); *(u64 *)page[0] = 0x1111; *(u64 *)page[1] = 0x2222;
  u64 a, b, c; ASM("mov %%gs:0,%0; swapgs; mov %%gs:0,%1; swapgs; mov %%gs:0,%2" : "=&r"(a), "=&r"(b), "=&r"(c)); show("gs", a); show("swapped", b); show("back", c); show("fs", rdmsr(0xc0000100)); nl();
  ASM("mov %0,%%fs" :: "r"(0)); show("null fs", rdmsr(0xc0000100)); ASM("mov %0,%%fs" :: "r"(UD)); show("flat fs", rdmsr(0xc0000100)); nl();
  wrmsr(0xc0000100, 0);
  T("rdfsbase off", "rdfsbase %%rax"); ASM("mov %%cr4,%%rax; or $0x10000,%%rax; mov %%rax,%%cr4" ::: "rax"); u64 v = 0xffff900000002000; ASM("wrgsbase %1; rdgsbase %0; " : "=r"(a) : "r"(v)); show("wrgsbase", a); show("msr", rdmsr(0xc0000101)); ASM("wrgsbase %k0" :: "r"(v)); show("32", rdmsr(0xc0000101)); nl();
}
static void flush(void) { ASM("mov %%cr3,%%rax; mov %%rax,%%cr3" ::: "rax", "memory"); }
static void paging(void) {
  u64 nx = 1ull << 63, high = 0xffff800000000000; wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
  pdhigh[0] = (u64)pd2 | 7; pd2[0] = (u64)pt | 7; pd2[1] = 0x87; pt[0] = (u64)page[0] | 7; pt[1] = (u64)page[1] | 3; pt[2] = (u64)page[2] | 5; pt[3] = (u64)page[3] | 7 | nx; pdhigh[1] = 0x87; page[0][0] = page[3][0] = page[1][0] = 0xc3; flush();
  T("high read", "mov $0xffff800000000000,%%rax; mov (%%rax),%%ecx"); show("a", pt[0] & 0xfff); T("high write", "mov $0xffff800000000008,%%rax; mov %%ecx,(%%rax)"); show("d", pt[0] & 0xfff); show("pml4", pml4[256] & 0xfff); show("pd", pd2[0] & 0xfff); nl();
  T("call high", "mov $0xffff800000000000,%%rax; call *%%rax"); T("write read-only", "mov $0xffff800000002000,%%rax; mov %%ecx,(%%rax)"); T("execute nx", "mov $0xffff800000003000,%%rax; call *%%rax"); T("absent", "mov $0xffff800000005008,%%rax; mov (%%rax),%%ecx"); T("absent pml4", "mov $0xffff900000000000,%%rax; mov (%%rax),%%ecx"); T("split", "mov $0xffff800000003ffc,%%rax; mov (%%rax),%%rcx"); T("split write", "mov $0xffff800000001ffc,%%rax; mov %%rcx,(%%rax)");
  U("user high", "mov $0xffff800000000000,%%rax; mov (%%rax),%%ebx; and $0xff,%%ebx;" SAY); U("user supervisor", "mov $0xffff800000001000,%%rax; mov (%%rax),%%ebx"); U("user nx", "mov $0xffff800000003000,%%rax; call *%%rax"); U("user read-only", "mov $0xffff800000002000,%%rax; incl (%%rax)");
  T("2m", "mov $0xffff800000300000,%%rax; mov (%%rax),%%ecx"); show("pde", pd2[1] & 0xfff); T("1g", "mov $0xffff800040100000,%%rax; mov (%%rax),%%ecx"); show("pdpte", pdhigh[1] & 0xfff); nl();
  pt[5] = (u64)page[2] | 7; page[2][0] = 0x5c; page[3][0] = 0x6d; flush(); u8 a = *(volatile u8 *)(high + 0x5000); pt[5] = (u64)page[3] | 7; ASM("invlpg (%0)" :: "r"(high + 0x5000) : "memory"); show("invlpg", a << 8 | *(volatile u8 *)(high + 0x5000)); nl();
  U("user stac", "stac"); pd[0] = 0x83; flush(); ASM("mov %%cr4,%%rax; or $0x200000,%%rax; mov %%rax,%%cr4; clac" ::: "rax");
  T("smap read", "mov $0xffff800000000000,%%rax; mov (%%rax),%%ecx"); T("smap stac", "stac; mov $0xffff800000000000,%%rax; mov (%%rax),%%ecx; mov %%ecx,(%%rax); clac"); T("smap write after", "mov $0xffff800000000000,%%rax; mov %%ecx,(%%rax)"); T("smap fetch", "mov $0xffff800000000000,%%rax; call *%%rax");
  ASM("mov %%cr4,%%rax; and $~0x200000,%%rax; mov %%rax,%%cr4" ::: "rax"); pd[0] = 0x87; flush();
  T("rep stos across", "mov $0xffff800000000ff0,%%rdi; mov $32,%%ecx; mov $0xc3,%%al; rep stosb"); T("rep stosq into ro", "mov $0xffff800000001ff0,%%rdi; mov $4,%%ecx; rep stosq");
}
void kmain(void) {
  outb(0x21, 0xff); outb(0xa1, 0xff); extern u8 gate[];
  u64 t = (u64)&tss; gdt[TSS / 8] = (t & 0xffffff) << 16 | (sizeof tss - 1) | 0x8900ull << 32 | (t & 0xff000000) << 32; gdt[TSS / 8 + 1] = t >> 32;
  gdt[CG / 8] = ((u64)gate & 0xffff) | KC << 16 | 0xec00ull << 32 | ((u64)gate & 0xffff0000) << 32; gdt[CG32 / 8] = 0x1234 | KC32 << 16 | 0xec00ull << 32; gdt[LD / 8] = 0x0000820000000000 | 0xff; gdt[LD / 8 + 1] = 0;
  for (int i = 0; i < 32; i++) { u64 at = (u64)stubs + i * 16; idt[i * 2] = (at & 0xffff) | KC << 16 | (i == 3 ? 0xee00ull : 0x8e00ull) << 32 | (at & 0xffff0000) << 32; }
  u64 at = (u64)stub80; idt[0x100] = (at & 0xffff) | KC << 16 | 0xee00ull << 32 | (at & 0xffff0000) << 32; at = (u64)stub81; idt[0x102] = (at & 0xffff) | KC << 16 | 0xee02ull << 32 | (at & 0xffff0000) << 32; idt[0x88] = KC << 16 | 0x0e00ull << 32;
  struct { u16 limit; u64 base; } __attribute__((packed)) ip = { 0x82 * 16 - 1, (u64)idt }; ASM("lidt %0; ltr %w1; lldt %w2" :: "m"(ip), "r"(TSS), "r"(LD));
  tss.rsp[0] = (u64)kstack + 8192 - 8; tss.ist[1] = (u64)istack + 4096 - 8; tss.iomap = 104; memset(tss.map, 0xff, 132); tss.map[0xe9 >> 3] = 0xfd;
  put("segments\n"); segments(); put("exceptions\n"); exceptions(); put("rings\n"); rings(); put("compatibility\n"); compatibility(); put("bases\n"); bases(); put("paging\n"); paging(); put("end\n");
  outb(0xf4, 0); ASM("cli; hlt");
}
