/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted mistakes, for tests of the checks: what SOFTGPU_PLANT names happens to the outputs of each of our kernels
 * after it ran.
 */
#ifndef SOFTGPU_DRIVER_PLANT_H
#define SOFTGPU_DRIVER_PLANT_H

#include "driver_objects.h"

/* SOFTGPU_PLANT: "ulp" (one element of each row is 4 ulp off), "tail" (the last three elements of a row repeat those
 * before them), "mean" (each element is off as if the mean were wrong by a hundredth). Any other value is an error. */
void softgpu_plant(const struct softgpu_launch *launch);

#endif
