/*
 * The dlsym hook. A program that brings its own CUDA runtime, or calls the driver API, asks dlsym for the driver's
 * functions; it gets ours where hooks/driver.c has one (fuseln_driver_hook), and everything else is the real dlsym's:
 * reached by a jump, so that it sees its true caller and RTLD_NEXT and RTLD_DEFAULT keep their meaning. No lock, no
 * memory, no state but the real function's address; valid before any constructor ran.
 */
#include "dlsym.h"

#include <stdatomic.h>
#include <stdbool.h>

#ifdef __x86_64__

/* Names that begin with "cu" in a real library go on in C, whose answer is the caller's; all others jump. */
__asm__(".pushsection .text\n"
        ".globl dlsym\n"
        ".type dlsym, @function\n"
        "dlsym:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    leaq 1(%rdi), %rax\n" /* RTLD_NEXT is -1, RTLD_DEFAULT 0 */
        "    cmpq $1, %rax\n"
        "    jbe 1f\n"
        "    testq %rsi, %rsi\n"
        "    je 1f\n"
        "    cmpb $'c', (%rsi)\n"
        "    jne 1f\n"
        "    cmpb $'u', 1(%rsi)\n"
        "    je fuseln_dlsym_driver\n"
        "1:  movq fuseln_dlsym_next(%rip), %rax\n"
        "    testq %rax, %rax\n"
        "    je 2f\n"
        "    jmp *%rax\n"
        "2:  pushq %rdi\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    pushq %rsi\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    call fuseln_dlsym_real\n"
        "    addq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %rsi\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %rdi\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    jmp *%rax\n"
        "    .cfi_endproc\n"
        ".size dlsym, . - dlsym\n"
        ".popsection\n");

#else
/* No jump was written for this machine: dlsym is not hooked, and programs that look the driver up are not seen. */
#endif

void *fuseln_dlsym_driver(void *handle, const char *name);
_Atomic(fuseln_dlsym_function *) fuseln_dlsym_next;

fuseln_dlsym_function *fuseln_dlsym_real(void)
{
    fuseln_dlsym_function *real = atomic_load_explicit(&fuseln_dlsym_next, memory_order_acquire);

    if (!real) {
        real = fuseln_driver_dlsym();
        atomic_store_explicit(&fuseln_dlsym_next, real, memory_order_release);
    }
    return real;
}

/* Does the name go on with this text? Compiled to one comparison a character. */
static inline __attribute__((always_inline)) bool is(const char *name, const char *text)
{
#pragma GCC unroll 32
    for (size_t i = 0; i <= __builtin_strlen(text); i++)
        if (name[i] != text[i])
            return false;
    return true;
}
static inline __attribute__((always_inline)) bool begins(const char *name, const char *text)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < __builtin_strlen(text); i++)
        if (name[i] != text[i])
            return false;
    return true;
}

/* Is it worth comparing with the names that we hook? A few instructions for the others. */
static inline bool may_be_hooked(const char *name)
{
    switch (name[2]) {
    case 'L':
        return begins(name + 3, "aunch") || begins(name + 3, "ibrary");
    case 'M':
        return begins(name + 3, "odule") && (name[8] == 'G' || name[8] == 'E' || name[8] == 'U');
    case 'G':
        return begins(name + 3, "etP");
    case 'K':
        return is(name + 3, "ernelGetFunction");
    default:
        return false;
    }
}

/* Jumped to, so its caller is dlsym's. */
void *fuseln_dlsym_driver(void *handle, const char *name)
{
    fuseln_dlsym_function *real = fuseln_dlsym_real();

    if (__builtin_expect(!may_be_hooked(name), 1))
        return real(handle, name);
    void *function = real(handle, name);
    return function ? fuseln_driver_hook(handle, name, function, __builtin_return_address(0)) : NULL;
}
