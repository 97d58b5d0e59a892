/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory whose addresses the program reserves and maps itself (cuMemAddressReserve, cuMemCreate, cuMemMap). What is
 * mapped with access is an allocation to the rest of the driver (device_memory.h). The rest of a reservation has no
 * access: host code that touches it faults. Access is the same for every device. Thread-safe.
 */
#ifndef SOFTGPU_DRIVER_VIRTUAL_H
#define SOFTGPU_DRIVER_VIRTUAL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this process ever reserved addresses; while it did not, everything is allowed. */
bool softgpu_virtual_is_used(void);
/* Whether work may read, or write, these bytes: any but those of a reservation that lack such access. An error says
 * who would have done what. */
bool softgpu_virtual_allows(const char *who, const char *does, const void *at, size_t bytes, bool writes);

#endif
