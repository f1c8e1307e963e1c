# Single step, hardware breakpoints on code and data, DR6, general detect, RF, in rings 0 and 3; STI and MOV SS shadows.
.include "common.inc"
.set HANDLER, 0x540
main:
  mov byte ptr [COMPACT], 1
  # vector 1: says where and why, and goes on
  mov eax, offset debug
  mov [IDT + 8], ax
  shr eax, 16
  mov [IDT + 14], ax
  SAY "step\n"
  pushfd
  or dword ptr [esp], 0x100
  popfd
  nop
  mov ecx, 2
1: loop 1b
  mov ax, KDATA
  mov ss, ax
  nop
  mov esi, 0x700
  mov edi, 0x720
  mov ecx, 3
  rep movsb
  push 2
  popfd
  call newline
  SAY "into gates\n" # the handler of an INT runs without TF
  pushfd
  or dword ptr [esp], 0x100
  popfd
  TRY
  int 0x50
77: call newline
  SAY "user\n"
  TRY
  pushd UDATA
  pushd 0xa000
  pushd 0x102
  pushd UCODE
  pushd offset user_steps
  iretd
77: call newline
  SAY "code breakpoints\n"
  mov eax, offset bp1
  mov dr0, eax
  mov eax, offset bp2
  mov dr1, eax
  mov eax, 0x00000005
  mov dr7, eax
  xor ebx, ebx
bp1: inc ebx
  nop
bp2: inc ebx
  mov eax, ebx
  call hex8
  call newline
  # global ones do as well
  mov eax, 0x0000000a
  mov dr7, eax
  call again
  call newline
  SAY "data breakpoints\n"
  mov eax, 0x740
  mov dr2, eax
  mov eax, 0x750
  mov dr3, eax
  mov eax, 0x1d000050 | 0xf0000000
  mov dr7, eax
  mov eax, [0x740]
  mov [0x740], eax
  mov [0x743], al
  mov [0x744], al
  mov [0x73f], eax
  mov eax, [0x750]
  mov al, [0x753]
  inc dword ptr [0x750]
  mov al, [0x74f]
  mov al, [0x754]
  xor eax, eax
  mov dr7, eax
  call newline
  SAY "de\n"
  mov eax, dr4
  call hex8
  mov eax, dr5
  call hex8
  mov eax, 8
  mov cr4, eax
  TRY
  mov eax, dr4
  OK
  TRY
  mov dr5, eax
  OK
  xor eax, eax
  mov cr4, eax
  call newline
  ret
again:
  mov ebx, 0
  jmp bp1b
bp1b:
  mov eax, offset bp3
  mov dr0, eax
bp3: nop
  ret
user_steps:
  nop
  push eax
  pop eax
  pushfd
  pop eax
  mov ebx, 0x55
  push ss
  pop ss
  nop
  int 0x40
debug:
  push eax
  push edx
  push ds
  mov ax, KDATA
  mov ds, ax
  mov eax, [esp + 12]
  call hex8
  mov al, '/'
  out 0xe9, al
  mov eax, dr6
  call hex4
  call space
  mov eax, 0xffff0ff0
  mov dr6, eax
  pop ds
  pop edx
  pop eax
  # a code breakpoint is a fault: RF lets the instruction run
  or dword ptr [esp + 8], 0x10000
  iretd
.include "tail.inc"
