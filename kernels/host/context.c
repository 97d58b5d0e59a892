/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CUDA contexts and devices this process has shown us. A context is known by cuCtxGetId, unique for the life of
 * the process (handles are reused). The driver is asked first; then an entry is locked and published.
 */
#include "kernels/host/context.h"

#include "base/shield.h"

#include <stdio.h>
#include <string.h>

static struct fuseln_context contexts[FUSELN_CONTEXTS_MAX];

static struct fuseln_device_record records[FUSELN_DEVICES_MAX]; /* by ordinal */

static bool read_facts(const struct fuseln_driver *driver, CUdevice ordinal, struct fuseln_device_record *record)
{
    record->device.index = ordinal;
    const struct {
        int *value, attribute;
    } facts[] = {
        {&record->device.sm_count, CU_ATTR_MULTIPROCESSOR_COUNT},
        {&record->device.cc_major, CU_ATTR_COMPUTE_CAPABILITY_MAJOR},
        {&record->device.cc_minor, CU_ATTR_COMPUTE_CAPABILITY_MINOR},
        {&record->device.smem_optin_bytes, CU_ATTR_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        if (driver->device_get_attr(facts[i].value, facts[i].attribute, ordinal) != CUDA_SUCCESS)
            return false;
    record->device.direct_rows = FUSELN_DIRECT_ROWS;
    return driver->device_get_name(record->name, (int)sizeof record->name, ordinal) == CUDA_SUCCESS &&
           driver->driver_get_version(&record->driver_version) == CUDA_SUCCESS;
}

/* The record of the current device, made if it is new; NULL where facts are missing. */
static struct fuseln_device_record *record_get(const struct fuseln_driver *driver)
{
    CUdevice ordinal;
    struct fuseln_device_record facts = {0};
    struct fuseln_shield before;
    if (driver->ctx_get_device(&ordinal) != CUDA_SUCCESS || ordinal < 0 || ordinal >= FUSELN_DEVICES_MAX)
        return NULL;
    struct fuseln_device_record *record = &records[ordinal];
    if (atomic_load_explicit(&record->complete, memory_order_acquire))
        return record;
    if (!read_facts(driver, ordinal, &facts))
        return NULL;
    fuseln_shield_lock(&before, &fuseln_host_mutex);
    if (!atomic_load(&record->complete)) {
        record->device = facts.device;
        record->driver_version = facts.driver_version;
        memcpy(record->name, facts.name, sizeof record->name);
        atomic_store_explicit(&record->complete, true, memory_order_release);
    }
    fuseln_shield_unlock(&before, &fuseln_host_mutex);
    return record;
}

/* The first entry with this id (0: free) from where that of the key begins to be looked for; NULL where there is none.
 */
static struct fuseln_context *context_find(uint64_t key, uint64_t id)
{
    for (size_t i = 0; i < FUSELN_CONTEXTS_MAX; i++) {
        struct fuseln_context *context = &contexts[(key + i) % FUSELN_CONTEXTS_MAX];
        if (atomic_load_explicit(&context->id, memory_order_acquire) == id)
            return context;
    }
    return NULL;
}

/* NULL where the table is full or facts are missing. */
static __attribute__((noinline)) struct fuseln_context *context_add(const struct fuseln_driver *driver, uint64_t key)
{
    struct fuseln_device_record *record = record_get(driver);
    struct fuseln_shield before;
    if (!record)
        return NULL;
    fuseln_shield_lock(&before, &fuseln_host_mutex);
    struct fuseln_context *context = context_find(key, key); /* another thread may have been first */
    if (!context && (context = context_find(key, 0))) {
        context->record = record;
        atomic_store_explicit(&context->id, key, memory_order_release);
    }
    fuseln_shield_unlock(&before, &fuseln_host_mutex);
    return context;
}

struct fuseln_context *fuseln_context_current(void)
{
    const struct fuseln_driver *driver = fuseln_driver_known();
    unsigned long long id;
    if (!driver)
        driver = fuseln_driver_find();
    if (!driver || driver->ctx_get_id(NULL, &id) != CUDA_SUCCESS)
        return NULL;
    struct fuseln_context *context = context_find(id + 1, id + 1);
    return context ? context : context_add(driver, id + 1);
}

enum fuseln_verdict fuseln_context_missing(void)
{
    return fuseln_driver_known() ? FUSELN_VERDICT_CONTEXT : FUSELN_VERDICT_DRIVER;
}

const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context)
{
    return &context->record->device;
}

size_t fuseln_device_reports(struct fuseln_device_report *ret_reports, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < FUSELN_DEVICES_MAX && count < capacity; i++) {
        const struct fuseln_device_record *record = &records[i];
        if (!atomic_load_explicit(&record->complete, memory_order_acquire))
            continue;
        const struct fuseln_image *image = atomic_load_explicit(&record->image, memory_order_acquire);
        struct fuseln_device_report *report = &ret_reports[count++];
        *report = (struct fuseln_device_report){.index = record->device.index,
                                                .driver_version = record->driver_version,
                                                .image = image ? image->name : "",
                                                .compiler = image ? image->compiler : "",
                                                .scratch_bytes = atomic_load(&record->scratch_bytes),
                                                .scratch_wanted = atomic_load(&record->scratch_wanted)};
        memcpy(report->name, record->name, sizeof report->name);
        snprintf(report->compute_capability, sizeof report->compute_capability, "%d.%d", record->device.cc_major,
                 record->device.cc_minor);
    }
    return count;
}

size_t fuseln_context_index(const struct fuseln_context *context)
{
    return (size_t)(context - contexts);
}

void fuseln_context_after_fork(void)
{
    for (size_t i = 0; i < FUSELN_CONTEXTS_MAX; i++)
        if (atomic_load(&contexts[i].id))
            memset(&contexts[i], 0, sizeof contexts[i]);
    memset(records, 0, sizeof records);
    fuseln_host_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
