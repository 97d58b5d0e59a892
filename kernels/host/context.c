/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CUDA contexts and devices this process has shown us. A context is known by cuCtxGetId, unique for the life of
 * the process (handles are reused); facts of a device are read once, by whoever comes first. Lock-free.
 */
#include "kernels/host/context.h"

#include <stdio.h>
#include <string.h>

static struct fuseln_context contexts[FUSELN_CONTEXTS_MAX];

/* Records are filled in private and then published by ordinal; a thread that cannot, or that lost the race, gives
 * its record back. */
static struct fuseln_device_record records[2 * FUSELN_DEVICES_MAX];
static _Atomic(struct fuseln_device_record *) by_ordinal[FUSELN_DEVICES_MAX];

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
    record->device.direct_rows = FUSELN_DIRECT_ROWS * record->device.sm_count;
    return driver->device_get_name(record->name, (int)sizeof record->name, ordinal) == CUDA_SUCCESS &&
           driver->driver_get_version(&record->driver_version) == CUDA_SUCCESS;
}

static struct fuseln_device_record *record_take(void)
{
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        if (!atomic_exchange(&records[i].taken, true))
            return &records[i];
    return NULL;
}

static struct fuseln_device_record *record_get(const struct fuseln_driver *driver)
{
    CUdevice ordinal;
    if (driver->ctx_get_device(&ordinal) != CUDA_SUCCESS || ordinal < 0 || ordinal >= FUSELN_DEVICES_MAX)
        return NULL;
    struct fuseln_device_record *record = atomic_load_explicit(&by_ordinal[ordinal], memory_order_acquire),
                                *none = NULL;
    if (record)
        return record;
    record = record_take();
    if (record &&
        (!read_facts(driver, ordinal, record) || !atomic_compare_exchange_strong(&by_ordinal[ordinal], &none, record)))
        atomic_store(&record->taken, false);
    return atomic_load_explicit(&by_ordinal[ordinal], memory_order_acquire);
}

/* The entry of this context with its record, claimed if it is new; NULL where the table is full or facts are missing.
 */
static __attribute__((noinline)) struct fuseln_context *context_add(const struct fuseln_driver *driver, uint64_t key)
{
    for (size_t i = 0; i < FUSELN_CONTEXTS_MAX; i++) {
        struct fuseln_context *context = &contexts[(key + i) % FUSELN_CONTEXTS_MAX];
        uint64_t id = atomic_load_explicit(&context->id, memory_order_acquire);
        if (id != key && (id != 0 || (!atomic_compare_exchange_strong(&context->id, &id, key) && id != key)))
            continue;
        if (!atomic_load_explicit(&context->record, memory_order_acquire)) {
            struct fuseln_device_record *record = record_get(driver);
            if (!record)
                return NULL;
            atomic_store_explicit(&context->record, record, memory_order_release);
        }
        return context;
    }
    return NULL;
}

enum fuseln_verdict fuseln_context_current(struct fuseln_context **ret_context)
{
    const struct fuseln_driver *driver = fuseln_driver_get();
    unsigned long long id;
    *ret_context = NULL;
    if (!driver)
        return FUSELN_VERDICT_DRIVER;
    if (driver->ctx_get_id(NULL, &id) != CUDA_SUCCESS)
        return FUSELN_VERDICT_CONTEXT;
    const uint64_t key = id + 1;
    struct fuseln_context *context = &contexts[key % FUSELN_CONTEXTS_MAX]; /* nearly always this one */
    if (atomic_load_explicit(&context->id, memory_order_acquire) != key ||
        !atomic_load_explicit(&context->record, memory_order_acquire))
        context = context_add(driver, key);
    *ret_context = context;
    return context ? FUSELN_VERDICT_OK : FUSELN_VERDICT_CONTEXT;
}

const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context)
{
    return &atomic_load_explicit(&context->record, memory_order_acquire)->device;
}

size_t fuseln_device_reports(struct fuseln_device_report *ret_reports, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < FUSELN_DEVICES_MAX && count < capacity; i++) {
        const struct fuseln_device_record *record = atomic_load_explicit(&by_ordinal[i], memory_order_acquire);
        if (!record)
            continue;
        const struct fuseln_image *image = atomic_load_explicit(&record->image, memory_order_acquire);
        struct fuseln_device_report *report = &ret_reports[count++];
        *report = (struct fuseln_device_report){.index = record->device.index,
                                                .driver_version = record->driver_version,
                                                .compiler = image ? image->compiler : "",
                                                .scratch_bytes = atomic_load(&record->scratch_bytes)};
        memcpy(report->name, record->name, sizeof report->name);
        snprintf(report->compute_capability, sizeof report->compute_capability, "%d.%d", record->device.cc_major,
                 record->device.cc_minor);
        snprintf(report->image, sizeof report->image, "%s", image ? image->name : "");
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
    memset(by_ordinal, 0, sizeof by_ordinal);
}
