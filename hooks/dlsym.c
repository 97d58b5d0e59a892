/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dlsym hook. A program that brings its own CUDA runtime, or calls the driver API, asks dlsym for the driver's
 * functions; it gets ours where hooks/given.c has one. A preload in front of us that goes on by dlsym(RTLD_NEXT, ...)
 * gets ours where it would get a runtime's. Everything else is the real dlsym's: reached by a jump (dlsym.S), so that
 * it sees its true caller and RTLD_NEXT and RTLD_DEFAULT keep their meaning. No lock of ours, no memory, no state but
 * the real function's address; valid before any constructor ran.
 */
#include "base/real_dlsym.h"

#include "base/config.h"
#include "core/pairing.h"
#include "hooks/given.h"
#include "hooks/names.h"
#include "hooks/real.h"
#include "hooks/scope.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct answer {
    void *function;
    uintptr_t is_final; /* 0: the real dlsym answers */
};
struct answer fuseln_dlsym_answer(void *handle, const char *name, const void *caller);
/* The dlsym that the host would have reached without us. Lock-free; never NULL (real_dlsym.h). */
fuseln_dlsym_function *fuseln_dlsym_real(void);
fuseln_dlsym_function fuseln_dlsym_first __attribute__((visibility("hidden"))); /* dlsym.S */
_Atomic(fuseln_dlsym_function *) fuseln_dlsym_next = fuseln_dlsym_first;

fuseln_dlsym_function *fuseln_dlsym_real(void)
{
    fuseln_dlsym_function *real = atomic_load_explicit(&fuseln_dlsym_next, memory_order_acquire);

    if (real == fuseln_dlsym_first) {
        real = fuseln_next_dlsym();
        atomic_store_explicit(&fuseln_dlsym_next, real, memory_order_release);
    }
    return real;
}

static bool is_handle(const void *handle)
{
    return handle != RTLD_NEXT && handle != RTLD_DEFAULT;
}

/* One of the runtime's names that we have a function for. Whoever gets another's calls it behind our back. */
static void *answer_runtime(void *handle, const char *name, const void *caller)
{
    const int saved_errno = errno;
    void *function = NULL;

    if (!is_handle(handle) && fuseln_scope_kind(caller).before && fuseln_config_hooks(FUSELN_BOUNDARY_RUNTIME)) {
        function = fuseln_real_hook(name, handle == RTLD_NEXT ? caller : NULL);
        dlerror(); /* the host must not find there what we did not find */
    }
    if (!function)
        fuseln_pairing_unseen(name);
    errno = saved_errno;
    return function;
}

struct answer fuseln_dlsym_answer(void *handle, const char *name, const void *caller)
{
    struct answer answer = {NULL, 0};

    if (name[0] == '_' || name[2] == 'd') {
        answer.function = fuseln_notice_is_runtime_call(name) ? answer_runtime(handle, name, caller) : NULL;
    } else if (name[2] < 'A') {
        return answer;
    } else if (is_handle(handle)) {
        answer.function = fuseln_dlsym_real()(handle, name);
        if (answer.function)
            answer.function = fuseln_given_for_dlsym(handle, name, answer.function, caller);
    } else {
        answer.is_final = fuseln_given_without_us(handle, name, caller, &answer.function);
        return answer;
    }
    answer.is_final = answer.function != NULL;
    return answer;
}
