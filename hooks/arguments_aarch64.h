/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * For dlsym.S and notice.S: around a call of C in a function that will jump on with its caller's arguments.
 */
/* At x29 + 16: x0 to x5, then the caller's address, which is also in x17. */
.macro save_arguments
        mov     x17, x30
        paciasp
        .cfi_negate_ra_state
        stp     x29, x30, [sp, #-224]!
        .cfi_adjust_cfa_offset 224
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        stp     x2, x3, [sp, #32]
        stp     x4, x5, [sp, #48]
        stp     x17, x6, [sp, #64]
        stp     x7, x8, [sp, #80]
        stp     q0, q1, [sp, #96]
        stp     q2, q3, [sp, #128]
        stp     q4, q5, [sp, #160]
        stp     q6, q7, [sp, #192]
.endm

.macro restore_arguments
        ldp     q6, q7, [sp, #192]
        ldp     q4, q5, [sp, #160]
        ldp     q2, q3, [sp, #128]
        ldp     q0, q1, [sp, #96]
        ldp     x7, x8, [sp, #80]
        ldr     x6, [sp, #72]
        ldp     x4, x5, [sp, #48]
        ldp     x2, x3, [sp, #32]
        ldp     x0, x1, [sp, #16]
        ldp     x29, x30, [sp], #224
        .cfi_adjust_cfa_offset -224
        .cfi_restore x29
        .cfi_restore x30
        autiasp
        .cfi_negate_ra_state
.endm
