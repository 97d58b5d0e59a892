/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See executor_memory.h. A kernel's thread_local and fuseln_smem are in the same thread-local block, which is found in
 * the loader's list of program headers.
 */
#include "executor_memory.h"

#include <link.h>
#include <stdint.h>
#include <string.h>

#include <vector_types.h>

#include "executor.h"

enum { SMEM_GUARD_BYTES = 1024 };

extern thread_local uint4 fuseln_smem[];
alignas(128) thread_local uint4 fuseln_smem[(SOFTGPU_SMEM_BYTES_MAX + SMEM_GUARD_BYTES) / sizeof(uint4)];
struct softgpu_memory_map softgpu_memory_map;

/* Finds the object whose thread-local block holds fuseln_smem. */
static int object_find(struct dl_phdr_info *info, size_t, void *)
{
    const char *smem = reinterpret_cast<const char *>(fuseln_smem);
    const char *start = static_cast<const char *>(info->dlpi_tls_data);
    struct softgpu_memory_map *map = &softgpu_memory_map;
    size_t tls_bytes = 0, low = SIZE_MAX, high = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_TLS)
            tls_bytes = header->p_memsz;
        if (header->p_type != PT_LOAD)
            continue;
        low = header->p_vaddr < low ? header->p_vaddr : low;
        high = header->p_vaddr + header->p_memsz > high ? header->p_vaddr + header->p_memsz : high;
    }
    if (!start || smem < start || smem >= start + tls_bytes)
        return 0;
    map->shared = start;
    map->shared_bytes = tls_bytes;
    map->smem_offset = (size_t)(smem - start);
    map->image = reinterpret_cast<const char *>(info->dlpi_addr + low);
    map->image_bytes = high - low;
    return 1;
}

bool softgpu_shared_memory_find(void)
{
    struct softgpu_memory_map *map = &softgpu_memory_map;
    if (!map->shared_bytes)
        return dl_iterate_phdr(object_find, nullptr) != 0;
    map->shared = reinterpret_cast<const char *>(fuseln_smem) - map->smem_offset;
    return true;
}

bool softgpu_shared_memory_holds(const void *address, size_t bytes)
{
    const char *at = static_cast<const char *>(address), *low = softgpu_memory_map.shared;
    return at >= low && at + bytes <= low + softgpu_memory_map.shared_bytes;
}

void softgpu_shared_memory_fill(unsigned smem_bytes)
{
    const struct softgpu_memory_map *map = &softgpu_memory_map;
    char *smem = reinterpret_cast<char *>(fuseln_smem);
    size_t smem_end = map->smem_offset + sizeof fuseln_smem;
    memset(smem - map->smem_offset, 0xff, map->smem_offset);
    memset(smem, 0xff, smem_bytes + SMEM_GUARD_BYTES);
    memset(smem + sizeof fuseln_smem, 0xff, map->shared_bytes - smem_end);
}

long softgpu_shared_memory_overrun(unsigned smem_bytes)
{
    const unsigned char *guard = reinterpret_cast<const unsigned char *>(fuseln_smem) + smem_bytes;
    for (unsigned i = 0; i < SMEM_GUARD_BYTES; ++i)
        if (guard[i] != 0xff)
            return (long)smem_bytes + i;
    return -1;
}
