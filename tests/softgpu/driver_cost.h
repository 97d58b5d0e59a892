/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's own clock: with SOFTGPU_COST=SEED each launch takes a time drawn for its kernel's name and grid, 5 to
 * 500 us, give or take 2 % from launch to launch, and events read that clock instead of the host's. Thread-safe.
 */
#ifndef SOFTGPU_DRIVER_COST_H
#define SOFTGPU_DRIVER_COST_H

#include <stdbool.h>

bool softgpu_cost_is_set(void);
/* Advances the clock by one launch. Returns by how much, in us; 0 without SOFTGPU_COST. */
double softgpu_cost_spend(const char *kernel, unsigned grid_x);
double softgpu_cost_now_ms(void);

#endif
