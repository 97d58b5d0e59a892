/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded images. The build writes images.inc, one FUSELN_IMAGE line for each module and architecture, and embeds
 * the data behind its symbols: aligned to 64 bytes, PTX ended by a zero byte.
 */
#include "kernels/host/image.h"

#define FUSELN_IMAGE(module, kind, arch, compiler) \
    extern const unsigned char fuseln_image_##module##_##kind##_##arch[] __attribute__((visibility("hidden")));
#include "images.inc"
#undef FUSELN_IMAGE

enum kind { KIND_sm, KIND_compute };

static const struct fuseln_image images[] = {
#define FUSELN_IMAGE(module, kind, arch, compiler) \
    {FUSELN_MODULE_##module,                       \
     KIND_##kind == KIND_compute,                  \
     arch,                                         \
     #kind "_" #arch,                              \
     compiler,                                     \
     fuseln_image_##module##_##kind##_##arch},
#include "images.inc"
#undef FUSELN_IMAGE
};

static bool runs_on(const struct fuseln_image *image, const struct fuseln_device *device)
{
    return image->ptx ? image->arch <= device->cc_major * 10 + device->cc_minor
                      : image->arch / 10 == device->cc_major && image->arch % 10 <= device->cc_minor;
}

const struct fuseln_image *fuseln_image_find(enum fuseln_module module, const struct fuseln_device *device, bool ptx)
{
    const struct fuseln_image *best = NULL;
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        const struct fuseln_image *image = &images[i];
        if (image->module == module && image->ptx == ptx && runs_on(image, device) &&
            (!best || image->arch > best->arch))
            best = image;
    }
    return best;
}
