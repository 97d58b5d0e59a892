/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry of the dlsym hook (dlsym.c): names that begin with "cuda", with "cu" and a capital, or so behind "__", are
 * looked at in C first; whatever that leaves goes on to the real dlsym by a jump, with its caller's return address.
 * Until the real one is known, fuseln_dlsym_next is fuseln_dlsym_first, which asks for it.
 */
#include "base/object_notes.h"

        .text
        .globl  dlsym, fuseln_dlsym_first
        .hidden fuseln_dlsym_first
        .type   dlsym, %function
        .type   fuseln_dlsym_first, %function

#ifdef __x86_64__
.macro save /* with space for an alignment of 16 */
        .irp    register, rdi, rsi, rax
        pushq   %\register
        .cfi_adjust_cfa_offset 8
        .endr
.endm

.macro restore
        .irp    register, rcx, rsi, rdi
        popq    %\register
        .cfi_adjust_cfa_offset -8
        .endr
.endm

        .p2align 4
dlsym:
        .cfi_startproc
        endbr64
        movq    %rsi, %rax
        cmpb    $'_', (%rax)
        jne     1f
        cmpb    $'_', 1(%rax)
        jne     2f
        addq    $2, %rax
1:      cmpb    $'c', (%rax)
        jne     2f
        cmpb    $'u', 1(%rax)
        jne     2f
        cmpb    $'Z', 2(%rax)
        jbe     3f
        cmpb    $'d', 2(%rax)
        jne     2f
        cmpb    $'a', 3(%rax)
        jne     2f
3:      movq    (%rsp), %rdx /* the caller */
        save
        call    fuseln_dlsym_answer
        restore
        testq   %rdx, %rdx
        je      2f
        ret
2:      jmp     *fuseln_dlsym_next(%rip)
        .cfi_endproc
        .size   dlsym, . - dlsym

        .p2align 4
fuseln_dlsym_first:
        .cfi_startproc
        endbr64
        save
        call    fuseln_dlsym_real
        restore
        jmp     *%rax
        .cfi_endproc

#else
#include "hooks/arguments_aarch64.h"

        .p2align 4
dlsym:
        .cfi_startproc
        bti     c
        mov     x9, x1
        ldrb    w10, [x9]
        cmp     w10, #'_'
        b.ne    1f
        ldrb    w10, [x9, #1]
        cmp     w10, #'_'
        b.ne    2f
        ldrb    w10, [x9, #2]!
1:      cmp     w10, #'c'
        b.ne    2f
        ldrb    w10, [x9, #1]
        cmp     w10, #'u'
        b.ne    2f
        ldrb    w10, [x9, #2]
        cmp     w10, #'Z'
        b.ls    3f
        cmp     w10, #'d'
        b.ne    2f
        ldrb    w10, [x9, #3]
        cmp     w10, #'a'
        b.ne    2f
3:      save_arguments
        mov     x2, x17 /* the caller */
        bl      fuseln_dlsym_answer
        mov     x16, x0
        mov     x17, x1
        restore_arguments
        cbz     x17, 2f
        mov     x0, x16
        ret
2:      adrp    x16, fuseln_dlsym_next
        add     x16, x16, :lo12:fuseln_dlsym_next
        ldar    x16, [x16]
        br      x16
        .cfi_endproc
        .size   dlsym, . - dlsym

        .p2align 4
fuseln_dlsym_first:
        .cfi_startproc
        bti     c
        save_arguments
        bl      fuseln_dlsym_real
        mov     x16, x0
        restore_arguments
        br      x16
        .cfi_endproc
#endif
        .size   fuseln_dlsym_first, . - fuseln_dlsym_first
