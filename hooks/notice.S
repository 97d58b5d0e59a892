/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stub for each noticed function (names.h): pending partial sums are forgotten, then the real function is jumped to,
 * with whatever arguments there are. A stub knows its slot in fuseln_notice_next alone; what its call reaches is looked
 * up only while something is pending (notice.c). All have 16 bytes and stand in the order of names.h: those of each node
 * of the runtime, the driver's exported ones, the driver's given ones.
 */
#include "base/object_notes.h"
#include "hooks/names.h"

        .text
        .set    slot, 0
        .type   notice, %function

#ifdef __x86_64__
.macro stub
        .p2align 4
        endbr64
        movl    $slot, %eax
        jmp     notice
        .p2align 4
        .set    slot, slot + 1
.endm

notice: /* slot in eax; r11 is free in every call */
        .cfi_startproc
        cmpl    $0, fuseln_pairing_count(%rip)
        jne     1f
        leaq    fuseln_notice_next(%rip), %r11
        movq    (%r11, %rax, 8), %r11
        testq   %r11, %r11
        je      1f
        jmp     *%r11
1:      .irp    register, r9, r8, rcx, rdx, rsi, rdi /* all that may hold an argument */
        pushq   %\register
        .cfi_adjust_cfa_offset 8
        .endr
        subq    $136, %rsp
        .cfi_adjust_cfa_offset 136
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movaps  %xmm\n, 16*\n(%rsp)
        .endr
        movl    %eax, %edi
        leaq    136(%rsp), %rsi /* the registers, then the return address */
        call    fuseln_notice_call
        movq    %rax, %r11
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movaps  16*\n(%rsp), %xmm\n
        .endr
        addq    $136, %rsp
        .cfi_adjust_cfa_offset -136
        .irp    register, rdi, rsi, rdx, rcx, r8, r9
        popq    %\register
        .cfi_adjust_cfa_offset -8
        .endr
        testq   %r11, %r11
        je      2f
        jmp     *%r11
2:      movl    $500, %eax /* cudaErrorSymbolNotFound, CUDA_ERROR_NOT_FOUND */
        ret
        .cfi_endproc

#else
#include "hooks/arguments_aarch64.h"

.macro stub
        .p2align 4
        bti     c
        mov     w16, #slot
        b       notice
        .p2align 4
        .set    slot, slot + 1
.endm

notice: /* slot in w16; x16 and x17 are free in every call */
        .cfi_startproc
        adrp    x17, fuseln_pairing_count
        add     x17, x17, :lo12:fuseln_pairing_count
        ldar    w17, [x17]
        cbnz    w17, 1f
        adrp    x17, fuseln_notice_next
        add     x17, x17, :lo12:fuseln_notice_next
        add     x17, x17, x16, lsl #3
        ldar    x17, [x17]
        cbz     x17, 1f
        br      x17
1:      save_arguments
        mov     w0, w16
        add     x1, sp, #16
        bl      fuseln_notice_call
        mov     x16, x0
        restore_arguments
        cbz     x16, 2f
        br      x16
2:      mov     w0, #500 /* as above */
        ret
        .cfi_endproc
#endif
        .size   notice, . - notice

.macro export name
        .globl  \name
        .type   \name, %function
        .p2align 4
\name:
        stub
        .size   \name, 16
.endm

#define NODE_11(name, reach) export fuseln_11_##name; .symver fuseln_11_##name, name@libcudart.so.11.0, remove;
#define NODE_12(name, reach) export fuseln_12_##name; .symver fuseln_12_##name, name@libcudart.so.12, remove;
#define NODE_13(name, reach) export fuseln_13_##name; .symver fuseln_13_##name, name@libcudart.so.13, remove;
#define EXPORTED(name, reach) export name;
#define GIVEN(name, reach) stub;

        FUSELN_CUDART_NOTICED(NODE_11)
        FUSELN_CUDART_NOTICED(NODE_12)
        FUSELN_CUDART_NOTICED(NODE_13)
        FUSELN_DRIVER_NOTICED(EXPORTED)

        .globl  fuseln_notice_given
        .hidden fuseln_notice_given
        .type   fuseln_notice_given, %function
        .p2align 4
fuseln_notice_given:
        FUSELN_DRIVER_NOTICED(GIVEN)
        .size   fuseln_notice_given, . - fuseln_notice_given
