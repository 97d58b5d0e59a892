/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program can do with the stand-in libraries (stand_in_cuda.c, stand_in_cudart.c) that it is linked with: count
 * the calls of each driver function, make calls of one of them fail, change the context, capture, and see each launch.
 */
#ifndef STAND_IN_H
#define STAND_IN_H

#include "kernels/host/libcuda.h"

enum stand_in_call {
#define X(member, name, params) STAND_IN_##member,
    FUSELN_DRIVER_FUNCTIONS(X)
#undef X
        STAND_IN_CALLS
};

/* The calls from .. until (the first is 1) of this function fail with this error and do nothing else; launches only if
 * stand_in_driver_launched is set. */
struct stand_in_fault {
    enum stand_in_call call;
    unsigned long from, until; /* 0, 0: none */
    CUresult error;
};
extern struct stand_in_fault stand_in_fault;

struct stand_in_count {
    atomic_ulong calls, failed;
};
extern struct stand_in_count stand_in_counts[STAND_IN_CALLS]; /* launches only if stand_in_driver_launched is set */

/* Exact for one thread; for several only roughly, so that counting costs nothing. */
extern unsigned long stand_in_driver_calls; /* all but the launches */
extern unsigned long stand_in_driver_launches;

/* The current context, and that of every stream but the default ones; 1 each. */
extern unsigned long long stand_in_context, stand_in_stream_context;
extern int stand_in_capturing;  /* every stream is in this capture; 0: in none */
extern int stand_in_smem_limit; /* how much shared memory a function was allowed last */

/* User objects that a graph retained: the destructors that are still to be called. */
void stand_in_destroy_graphs(void);

struct stand_in_launch {
    const char *kernel;
    unsigned grid;
    void **params;
    CUresult result;
};
/* Called, if set, for each launch at the driver; and for each at the runtime, whose result it returns. */
extern void (*stand_in_driver_launched)(const struct stand_in_launch *launch);
extern int (*stand_in_runtime_launched)(const void *function);

#endif
