/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel's mangled name says of its parameters: how many there are, which the stand-in driver needs to keep an
 * original's launch in a graph, and which are pointers, which it checks. Used by driver_launch.c only.
 */
#ifndef SOFTGPU_DRIVER_SIGNATURE_H
#define SOFTGPU_DRIVER_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0 if the name does not say. */
size_t softgpu_signature_count(const char *mangled);
/* Of the first ones, as many as there is room for; returns how many were written. */
size_t softgpu_signature_pointers(const char *mangled, bool *ret_pointers, size_t room);

#ifdef __cplusplus
}
#endif

#endif
