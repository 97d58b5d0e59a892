/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device images inside libfuseln.so, one for each module and architecture, and PTX: which one runs on a device.
 * Constant data, pure functions.
 */
#ifndef FUSELN_IMAGE_H
#define FUSELN_IMAGE_H

#include "kernels/host/variant.h"

struct fuseln_image {
    enum fuseln_module module;
    bool ptx;
    int arch;             /* 90 for sm_90 and compute_90, 100 for 10.0 */
    const char *name;     /* "sm_90", "compute_90" */
    const char *compiler; /* "NVRTC 12.0.140" */
    const void *data;
};

/* Machine code for this device X.z, the highest sm_X.y with y <= z; or with `ptx` the highest PTX that is not above the
 * device. NULL if there is none. */
const struct fuseln_image *fuseln_image_find(enum fuseln_module module, const struct fuseln_device *device, bool ptx);

#endif
