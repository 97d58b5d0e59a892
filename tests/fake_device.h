/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a driver of a test's own says of its one device: an H100 of 4 multiprocessors. For the tests that call kernels/
 * without a device; they make the rest of the driver.
 */
#ifndef FUSELN_FAKE_DEVICE_H
#define FUSELN_FAKE_DEVICE_H

#include <string.h>

#include "kernels/host/libcuda.h"

enum { FAKE_DEVICE = 1, FAKE_SMS = 4, FAKE_SMEM_OPTIN = 232448 };

static CUresult ctx_get_device(CUdevice *device)
{
    *device = FAKE_DEVICE;
    return CUDA_SUCCESS;
}
static CUresult device_get_name(char *name, int len, CUdevice device)
{
    (void)device;
    strncpy(name, "fake", (size_t)len);
    return CUDA_SUCCESS;
}
static CUresult device_get_attr(int *value, int attribute, CUdevice device)
{
    (void)device;
    *value = attribute == CU_ATTR_COMPUTE_CAPABILITY_MAJOR            ? 9
             : attribute == CU_ATTR_COMPUTE_CAPABILITY_MINOR          ? 0
             : attribute == CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? FAKE_SMEM_OPTIN
                                                                      : FAKE_SMS;
    return CUDA_SUCCESS;
}
static CUresult driver_get_version(int *version)
{
    *version = 12020;
    return CUDA_SUCCESS;
}

/* The members of struct fuseln_driver that these are. */
#define FAKE_DEVICE_FUNCTIONS                                                                                 \
    .ctx_get_device = ctx_get_device, .device_get_name = device_get_name, .device_get_attr = device_get_attr, \
    .driver_get_version = driver_get_version

#endif
