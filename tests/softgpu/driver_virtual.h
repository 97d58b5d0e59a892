/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory whose addresses the program reserves and maps itself (cuMemAddressReserve, cuMemCreate, cuMemMap). To the rest
 * of the driver, what is mapped with access is an allocation (device_memory.h). The rest of a reservation has no
 * access: host code that touches it faults. Access is the same for every device. Thread-safe.
 */
#ifndef SOFTGPU_DRIVER_VIRTUAL_H
#define SOFTGPU_DRIVER_VIRTUAL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this process ever reserved addresses; until then everything is allowed. */
bool softgpu_virtual_is_in_use(void);
/* Whether work may read, or write, these bytes. Outside of reservations it may; inside it needs a mapping with that
 * access. A refusal is an error that says who does what. */
bool softgpu_virtual_allows(const char *who, const char *does, const void *at, size_t bytes, bool writes);

#endif
