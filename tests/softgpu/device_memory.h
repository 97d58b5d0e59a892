/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory, which is host memory with a guard zone of 0xFF bytes on both sides of every allocation. Fresh and
 * freed memory holds 0xFF bytes too, which is NaN in every floating-point type. The driver's cuMem* functions call it.
 * Guards are checked when memory is freed, after each launch of our kernels, and at exit; damage is an error that says
 * where. Thread-safe.
 */
#ifndef SOFTGPU_DEVICE_MEMORY_H
#define SOFTGPU_DEVICE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Takes bytes > 0; aligned to 512. NULL without memory, or beyond SOFTGPU_MEMORY bytes in all (16 GiB unless set). */
void *softgpu_memory_allocate(size_t bytes);
/* false if address is not the start of an allocation. */
bool softgpu_memory_free(void *address);
/* The allocation that holds address; false if none does. */
bool softgpu_memory_find(const void *address, void **ret_base, size_t *ret_bytes);
/* Counts bytes that are allocated elsewhere against SOFTGPU_MEMORY; false if not as many are left. */
bool softgpu_memory_reserve(size_t bytes);
void softgpu_memory_unreserve(size_t bytes);
/* Memory that was allocated elsewhere, without guards: found from now on, never freed here, counts as written. */
void softgpu_memory_adopt(void *base, size_t bytes);
void softgpu_memory_disown(void *base);
/* Checks every guard. `after` completes the message, "seen ...". */
void softgpu_memory_check(const char *after);
void softgpu_memory_totals(size_t *ret_free_bytes, size_t *ret_total_bytes);

#endif
