/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handle is which kernel: what the look-ups of both boundaries tell, for core/registry. Thread-safe; errno is
 * kept. An address of the calling library tells in which library a kernel lies.
 */
#ifndef FUSELN_HANDLES_H
#define FUSELN_HANDLES_H

#include <stdbool.h>

/* The runtime: a host function is registered with the device name of its kernel; a fat binary is unregistered. */
void fuseln_handles_register(void **fatbin, const char *host_function, const char *device_name);
void fuseln_handles_unregister(void **fatbin, const void *caller);

/* A handle that the driver gave out for the kernel of this name. */
struct fuseln_found {
    const void *handle; /* CUfunction or CUkernel */
    bool is_kernel;
    void *module; /* CUmodule, or of a CUkernel its CUlibrary */
    const char *name;
    const void *caller;
};
void fuseln_handles_learn(const struct fuseln_found *found);
/* The CUfunction of a CUkernel; the CUmodule of a CUlibrary, which is unloaded with it. */
void fuseln_handles_learn_function(const void *function, const void *kernel);
void fuseln_handles_add_module(void *module, void *library);
/* This CUmodule or CUlibrary is about to be unloaded: its handles may be somebody else's at once. */
void fuseln_handles_forget(void *owner);
/* The library at this address has a CUDA runtime inside: it asks for the driver's private tables, as nobody else does.
 */
void fuseln_handles_add_runtime(const void *address);

#endif
