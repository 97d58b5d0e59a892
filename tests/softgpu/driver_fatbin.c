/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PTX in a fat binary, where one of its images is PTX that is not compressed. The layout is that of
 * tools/fatbin.py. For driver_image.c only.
 */
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"

enum { KIND_PTX = 1, COMPRESSED = 0x2000 | 0x8000 };

struct wrapper {
    uint32_t magic, version;
    const unsigned char *fatbin;
};
struct header {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes; /* of all images */
};
struct image {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t bytes;
    char unused[24];
    uint64_t flags;
};

char *softgpu_fatbin_ptx(const void *fatbin)
{
    const struct wrapper *wrapper = fatbin;
    const unsigned char *at = wrapper->magic == SOFTGPU_FATBIN_WRAPPER ? wrapper->fatbin : fatbin;
    struct header header = {0};
    struct image image;
    if (at)
        memcpy(&header, at, sizeof header);
    if (header.magic != SOFTGPU_FATBIN)
        return NULL;
    at += header.header_bytes;
    for (const unsigned char *end = at + header.bytes; at < end; at += image.header_bytes + image.bytes) {
        memcpy(&image, at, sizeof image);
        if (image.kind == KIND_PTX && !(image.flags & COMPRESSED))
            return strndup((const char *)at + image.header_bytes, image.bytes);
    }
    return NULL;
}
