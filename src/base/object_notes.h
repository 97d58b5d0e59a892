/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * What the compiler notes in each object, for those of assembler: the stack is not executable; on aarch64 each function
 * that may be jumped to begins with a landing pad (BTI), and return addresses on the stack are signed (PAC). A library
 * is guarded only if all of its objects say so.
 */
        .section .note.GNU-stack, "", %progbits
#ifdef __aarch64__
        .section .note.gnu.property, "a"
        .p2align 3
        .word   4, 16, 5 /* bytes of the name and of what follows it, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000, 4, 3, 0 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: 4 bytes, BTI and PAC; padding */
#endif
