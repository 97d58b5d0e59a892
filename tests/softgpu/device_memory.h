/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device memory that is host memory, with a guard zone of 0xFF bytes on both sides of every allocation; fresh and
 * freed memory holds 0xFF bytes too, which is NaN in every floating type. The driver's cuMem* functions call it.
 * A damaged guard is reported by name when the memory is freed, after each launch of ours, and at exit. Thread-safe.
 */
#ifndef SOFTGPU_DEVICE_MEMORY_H
#define SOFTGPU_DEVICE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* NULL without memory or beyond SOFTGPU_MEMORY (bytes; 16 GiB unless set). bytes > 0; aligned to 512. */
void *softgpu_memory_allocate(size_t bytes);
/* false if address is not the start of an allocation. */
bool softgpu_memory_free(void *address);
/* The allocation that holds address; false if none does. */
bool softgpu_memory_find(const void *address, void **ret_base, size_t *ret_bytes);
/* Bytes that count against SOFTGPU_MEMORY without an allocation; false if there are not as many. */
bool softgpu_memory_take(size_t bytes);
void softgpu_memory_give(size_t bytes);
/* Memory that was made elsewhere, without guards: found from now on, never freed here. All of it counts as written. */
void softgpu_memory_show(void *base, size_t bytes);
void softgpu_memory_hide(void *base);
/* Looks at every guard; says what damaged one was seen after. */
void softgpu_memory_check(const char *after);
void softgpu_memory_totals(size_t *ret_free_bytes, size_t *ret_total_bytes);

#endif
