/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a call's registers reaches the function behind one of our entries. -DOBSERVER="name": a library whose
 * function of that name writes down what it got. Else the program: it calls the noticed function cudaFree, and dlsym,
 * each three times with all registers filled that may hold arguments, and prints what arrived otherwise; dlsym is asked
 * for a name that it looks at in C, and one that it does not. On aarch64 with BTI, a call beside the landing pad must
 * be stopped.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

struct registers {
    uint64_t integer[9];
    const void *back; /* where the call returns to */
    uint64_t vector[16];
};

#if defined __x86_64__
enum { INTEGERS = 6, DLSYM_INTEGERS = 2, DLSYM_VECTORS = 0 };
#define GUARDED 0
#ifdef OBSERVER
__asm__(".text; observer: endbr64; mov observed@GOTPCREL(%rip), %rax\n"
        "mov %rdi, (%rax); mov %rsi, 8(%rax); mov %rdx, 16(%rax); mov %rcx, 24(%rax); mov %r8, 32(%rax); mov %r9, "
        "40(%rax)\n"
        "mov (%rsp), %rdx; mov %rdx, 72(%rax)\n"
        "movups %xmm0, 80(%rax); movups %xmm1, 96(%rax); movups %xmm2, 112(%rax); movups %xmm3, 128(%rax)\n"
        "movups %xmm4, 144(%rax); movups %xmm5, 160(%rax); movups %xmm6, 176(%rax); movups %xmm7, 192(%rax)\n"
        "mov $77, %eax; ret\n");
#else
__asm__(".text; .globl call_filled, call_back; call_filled: push %rbx; mov %rdi, %r10; mov %rsi, %rax\n"
        "mov (%rax), %rdi; mov 8(%rax), %rsi; mov 16(%rax), %rdx; mov 24(%rax), %rcx; mov 32(%rax), %r8; mov 40(%rax), "
        "%r9\n"
        "movups 80(%rax), %xmm0; movups 96(%rax), %xmm1; movups 112(%rax), %xmm2; movups 128(%rax), %xmm3\n"
        "movups 144(%rax), %xmm4; movups 160(%rax), %xmm5; movups 176(%rax), %xmm6; movups 192(%rax), %xmm7\n"
        "call *%r10\n"
        "call_back: pop %rbx; ret\n");
#endif

#elif defined __aarch64__
enum { INTEGERS = 9, DLSYM_INTEGERS = 9, DLSYM_VECTORS = 16 };
#define GUARDED ((getauxval(AT_HWCAP2) & HWCAP2_BTI) != 0)
#ifdef OBSERVER
__asm__(
    ".text; observer: hint #34; adrp x9, :got:observed; ldr x9, [x9, :got_lo12:observed]\n"
    "stp x0, x1, [x9]; stp x2, x3, [x9, #16]; stp x4, x5, [x9, #32]; stp x6, x7, [x9, #48]; stp x8, x30, [x9, #64]\n"
    "str q0, [x9, #80]; str q1, [x9, #96]; str q2, [x9, #112]; str q3, [x9, #128]\n"
    "str q4, [x9, #144]; str q5, [x9, #160]; str q6, [x9, #176]; str q7, [x9, #192]\n"
    "mov x0, #77; ret\n");
#else
__asm__(
    ".text; .globl call_filled, call_back; call_filled: hint #34; stp x29, x30, [sp, #-16]!; mov x9, x0; mov x10, x1\n"
    "ldp x0, x1, [x10]; ldp x2, x3, [x10, #16]; ldp x4, x5, [x10, #32]; ldp x6, x7, [x10, #48]; ldr x8, [x10, #64]\n"
    "ldr q0, [x10, #80]; ldr q1, [x10, #96]; ldr q2, [x10, #112]; ldr q3, [x10, #128]\n"
    "ldr q4, [x10, #144]; ldr q5, [x10, #160]; ldr q6, [x10, #176]; ldr q7, [x10, #192]\n"
    "blr x9\n"
    "call_back: ldp x29, x30, [sp], #16; ret\n");
#endif
#endif

#ifdef OBSERVER
__asm__(".globl " OBSERVER "; .type " OBSERVER ", %function; .set " OBSERVER ", observer");

#else
extern struct registers observed; /* observed.c */
long call_filled(void *function, const struct registers *in);
extern char call_back[];
int cudaFree(void *pointer);

static void compare(const char *what, const struct registers *in, int integers, int vectors)
{
    for (int i = 0; i < integers; i++)
        if (observed.integer[i] != in->integer[i])
            printf("%s: integer %d\n", what, i);
    for (int i = 0; i < vectors; i++)
        if (observed.vector[i] != in->vector[i])
            printf("%s: vector %d\n", what, i / 2);
    if (observed.back != call_back)
        printf("%s: returns elsewhere\n", what);
}

static void check(const char *what, void *function, uint64_t second, int vectors)
{
    struct registers in;
    for (int i = 0; i < 9; i++)
        in.integer[i] = 0x0101010101010101u * (unsigned)(i + 1);
    for (int i = 0; i < 16; i++)
        in.vector[i] = 0x1001010101010101u * (unsigned)(i + 1);
    if (second)
        in.integer[1] = second;
    for (int times = 0; times < 3; times++) {
        memset(&observed, 0, sizeof observed);
        if (call_filled(function, &in) != 77)
            printf("%s: another result\n", what);
        compare(what, &in, second ? DLSYM_INTEGERS : INTEGERS, vectors);
    }
}

static sigjmp_buf stopped;
static void stop(int number)
{
    siglongjmp(stopped, number);
}

static int is_stopped_beside(void *function)
{
    signal(SIGILL, stop);
    if (sigsetjmp(stopped, 1))
        return 1;
    call_filled((char *)function + 4, &observed);
    return 0;
}

int main(void)
{
    void *const noticed = (void *)cudaFree, *const asked = (void *)dlsym;
    check("noticed", noticed, 0, 16);
    check("dlsym, unseen", asked, (uintptr_t) "malloc", DLSYM_VECTORS);
    check("dlsym, seen", asked, (uintptr_t) "cudaNothing", DLSYM_VECTORS);
    printf("guarded: %d of %d\n", GUARDED && is_stopped_beside(noticed) && is_stopped_beside(asked), GUARDED);
    return 0;
}
#endif
