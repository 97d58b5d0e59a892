/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel's mangled name says about its parameters: how many there are, which the stand-in driver needs to store
 * an original's launch in a graph, and which are pointers, which it checks. For driver_launch.c only.
 */
#ifndef SOFTGPU_DRIVER_SIGNATURE_H
#define SOFTGPU_DRIVER_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

/* Returns the number of parameters, 0 if the name does not say; ret_pointers: which of the first `room` are pointers.
 */
size_t softgpu_signature(const char *mangled, bool *ret_pointers, size_t room);

#endif
