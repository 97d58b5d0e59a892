/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted mistakes of our kernels, for tests of the checks: what SOFTGPU_PLANT names is done to the outputs of each
 * kernel of ours that has run.
 */
#ifndef SOFTGPU_DRIVER_PLANT_H
#define SOFTGPU_DRIVER_PLANT_H

#include "driver_objects.h"

/* SOFTGPU_PLANT: "ulp" (an element of each row is 4 ulp off), "tail" (the last three of a row are those before them),
 * "mean" (each element is off by what a mean does that is wrong by a hundredth). Unset: nothing. Any other is an error.
 */
void softgpu_plant(const struct softgpu_launch *launch);

#endif
