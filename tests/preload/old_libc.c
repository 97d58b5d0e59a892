/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program without libpthread that runs under any glibc from 2.2.5 on, also when linked on a new one: its start code
 * is its own, so that no newer symbol version is asked for. Exit 0, silent; destructors of preloaded libraries run.
 */
int main(void);
int main(void)
{
    return 0;
}

#if defined(__x86_64__)
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.2.5\n"
        ".globl _start\n"
        "_start:\n"
        "xor %ebp, %ebp\n"
        "mov %rdx, %r9\n"        /* rtld_fini */
        "mov (%rsp), %rsi\n"     /* argc */
        "lea 8(%rsp), %rdx\n"    /* argv */
        "lea main(%rip), %rdi\n" /* main */
        "and $-16, %rsp\n"
        "push %rax\n"
        "push %rsp\n"      /* stack_end */
        "xor %ecx, %ecx\n" /* init */
        "xor %r8d, %r8d\n" /* fini */
        "call *__libc_start_main@GOTPCREL(%rip)\n"
        "hlt\n");
#endif
