/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before every C source: pins the few libc symbols whose default version moved after glibc 2.28, so that a
 * library linked on a new system loads on an old one. A function that lived in libpthread before 2.34 cannot be pinned,
 * because an old libc does not have it at all: we avoid it or make the reference weak. dlsym is missing here because we
 * hook it (hooks/dlsym.c) and never call it by name. tests/elf checks the result.
 */
#ifndef FUSELN_GLIBC_H
#define FUSELN_GLIBC_H

#if defined(__x86_64__)
#define FUSELN_GLIBC_BASE    "GLIBC_2.2.5"
#define FUSELN_GLIBC_DLADDR1 "GLIBC_2.3.3"
#elif defined(__aarch64__)
#define FUSELN_GLIBC_BASE    "GLIBC_2.17"
#define FUSELN_GLIBC_DLADDR1 "GLIBC_2.17"
#endif

#ifdef FUSELN_GLIBC_BASE
#define FUSELN_PIN_AS(reference, name, version) __asm__(".symver " #reference ", " #name "@" version)
#define FUSELN_PIN_AT(name, version)            FUSELN_PIN_AS(name, name, version)
#define FUSELN_PIN(name)                        FUSELN_PIN_AT(name, FUSELN_GLIBC_BASE)
/* From 2.38 on, headers redirect each of these to a function that also reads 0b11. */
#define FUSELN_PIN_OF_C23(name) FUSELN_PIN_AS(__isoc23_##name, name, FUSELN_GLIBC_BASE)
FUSELN_PIN(dlopen);
FUSELN_PIN(dlclose);
FUSELN_PIN(dlerror);
FUSELN_PIN(dlvsym);
FUSELN_PIN(dladdr);
FUSELN_PIN_AT(dladdr1, FUSELN_GLIBC_DLADDR1);
FUSELN_PIN_OF_C23(strtol);
FUSELN_PIN_OF_C23(strtoul);
FUSELN_PIN_OF_C23(strtoll);
FUSELN_PIN_OF_C23(strtoull);
#undef FUSELN_PIN
#undef FUSELN_PIN_AT
#undef FUSELN_PIN_AS
#undef FUSELN_PIN_OF_C23
#endif

#endif
