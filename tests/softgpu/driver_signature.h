/*
 * How many parameters a kernel has, from its mangled name: what the stand-in driver needs to keep an original's launch
 * in a graph. Used by driver_launch.c only.
 */
#ifndef SOFTGPU_DRIVER_SIGNATURE_H
#define SOFTGPU_DRIVER_SIGNATURE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C"
#endif
    /* 0 if the name does not say. */
    size_t
    softgpu_signature_count(const char *mangled);

#endif
