/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the embedded images a device gets (doctor.h).
 */
#include "tools/fuseln/doctor.h"

static const struct doctor_image images[] = {
#define KIND_sm                                    false
#define KIND_compute                               true
#define FUSELN_IMAGE(module, kind, arch, compiler) {#kind "_" #arch, compiler, arch, KIND_##kind},
#include "images.inc"
#undef FUSELN_IMAGE
#undef KIND_sm
#undef KIND_compute
};

/* Every module has the same list, so the rows of all are searched as one. Machine code comes before PTX. */
bool doctor_image_find(int cc_major, int cc_minor, struct doctor_image *ret_image)
{
    const struct doctor_image *best = NULL;
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        const struct doctor_image *image = &images[i];
        const bool runs = image->ptx ? image->arch <= 10 * cc_major + cc_minor
                                     : image->arch / 10 == cc_major && image->arch % 10 <= cc_minor;
        const bool better =
            !best || (best->ptx && !image->ptx) || (best->ptx == image->ptx && image->arch > best->arch);
        if (runs && better)
            best = image;
    }
    if (best)
        *ret_image = *best;
    return best != NULL;
}
