/*
 * The dlsym hook. A program that brings its own CUDA runtime, or calls the driver API, asks dlsym for the driver's
 * functions; it gets ours where hooks/driver.c has one (fuseln_driver_hook), and everything else is the real dlsym's:
 * reached by a jump, so that it sees its true caller and RTLD_NEXT and RTLD_DEFAULT keep their meaning. No lock, no
 * memory, no state but the real function's address; valid before any constructor ran.
 */
#include "dlsym.h"

#include "notice_names.h"
#include "pairing.h"

#include <stdatomic.h>
#include <stdbool.h>

#ifdef __x86_64__

/* Names that begin with "cuda", and with "cu" in a real library, go on in C, whose answer is the caller's; all others
 * jump. */
__asm__(".pushsection .text\n"
        ".globl dlsym\n"
        ".type dlsym, @function\n"
        "dlsym:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    cmpb $'c', (%rsi)\n"
        "    jne 1f\n"
        "    cmpb $'u', 1(%rsi)\n"
        "    jne 1f\n"
        "    cmpb $'d', 2(%rsi)\n"
        "    je fuseln_dlsym_runtime\n"
        "    leaq 1(%rdi), %rax\n" /* RTLD_NEXT is -1, RTLD_DEFAULT 0 */
        "    cmpq $1, %rax\n"
        "    ja fuseln_dlsym_driver\n"
        "fuseln_dlsym_pass:\n"
        "1:  jmp *fuseln_dlsym_next(%rip)\n"
        "fuseln_dlsym_first:\n" /* what that is until it is known */
        "    endbr64\n"
        "    pushq %rdi\n"
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

void *fuseln_dlsym_driver(void *handle, const char *name), *fuseln_dlsym_runtime(void *handle, const char *name);
fuseln_dlsym_function fuseln_dlsym_pass, fuseln_dlsym_first;
_Atomic(fuseln_dlsym_function *) fuseln_dlsym_next = fuseln_dlsym_first;

fuseln_dlsym_function *fuseln_dlsym_real(void)
{
    fuseln_dlsym_function *real = atomic_load_explicit(&fuseln_dlsym_next, memory_order_acquire);

    if (real == fuseln_dlsym_first) {
        real = fuseln_driver_dlsym();
        atomic_store_explicit(&fuseln_dlsym_next, real, memory_order_release);
    }
    return real;
}

static __attribute__((noinline)) void *look_up(void *handle, const char *name, const void *caller)
{
    void *function = fuseln_dlsym_real()(handle, name);
    return function ? fuseln_driver_hook(handle, name, function, caller) : NULL;
}

/* Jumped to, so their caller is dlsym's; they jump on. */
void *fuseln_dlsym_driver(void *handle, const char *name)
{
    if (name[2] >= 'A' && name[2] <= 'Z') /* else cublas..., cufft... */
        return look_up(handle, name, __builtin_return_address(0));
    return fuseln_dlsym_pass(handle, name);
}

/* A runtime's function that is looked up is called behind the back of our own of that name. */
void *fuseln_dlsym_runtime(void *handle, const char *name)
{
    if (name[3] == 'a' && fuseln_notice_is_runtime_call(name))
        fuseln_pairing_unseen(name);
    return fuseln_dlsym_pass(handle, name);
}

#else /* No jump was written for this machine: dlsym is not hooked, and who looks the driver up is not seen. */

fuseln_dlsym_function *fuseln_dlsym_real(void)
{
    return fuseln_driver_dlsym();
}

#endif
