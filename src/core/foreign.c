/* SPDX-License-Identifier: Apache-2.0 */
/* See foreign.h. An entry is complete before it is counted in; after that only its launches change. */
#include "core/foreign.h"

#include <string.h>

static struct fuseln_foreign entries[FUSELN_FOREIGN_MAX];
static atomic_size_t entry_count;
static struct fuseln_foreign more = {.maker = "other", .name = "(more kernels than can be told apart)"};

struct fuseln_foreign *fuseln_foreign_get(const char *name, const char *maker)
{
    const size_t count = atomic_load(&entry_count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(entries[i].name, name, sizeof entries[i].name - 1) == 0)
            return &entries[i];
    if (count == FUSELN_FOREIGN_MAX)
        return &more;
    entries[count].maker = maker;
    strncpy(entries[count].name, name, sizeof entries[count].name - 1); /* a fork may have left a longer one here */
    atomic_store(&entry_count, count + 1);
    return &entries[count];
}

const struct fuseln_foreign *fuseln_foreign_at(size_t index)
{
    const size_t count = atomic_load(&entry_count);
    return index < count ? &entries[index] : index == count ? &more : NULL;
}

void fuseln_foreign_after_fork(void)
{
    const size_t count = atomic_load(&entry_count);
    for (size_t i = 0; i < count; i++)
        atomic_store(&entries[i].launches, 0);
    atomic_store(&more.launches, 0);
}
