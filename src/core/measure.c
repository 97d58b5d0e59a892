/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See measure.h. A bucket is claimed by its site, then its power of two. A sample takes the next index, is written
 * there and then counted; who counts the last one decides.
 */
#include "core/measure.h"

#include <string.h>

enum { OURS, ORIGINAL };
enum kept { UNDECIDED, KEPT_OURS, KEPT_ORIGINAL };
enum { TIMED_MAX = FUSELN_MEASURE_PAIRS + 8 }; /* launches of each: of some the time may not be had */

struct bucket {
    _Atomic(struct fuseln_site *) site;
    _Atomic int log_rows; /* + 1 */
    atomic_uint turn, issued[2], placed[2], ready[2];
    _Atomic float us[2][FUSELN_MEASURE_PAIRS];
    _Atomic int kept;
    _Atomic float median[2];
    _Atomic double bytes;
    _Atomic uint64_t launches;
};
static struct bucket buckets[FUSELN_MEASURES_MAX];

static int log_of(int64_t rows)
{
    return rows > 0 ? 63 - __builtin_clzll((unsigned long long)rows) : 0;
}

/* NULL where all are taken: then ours is launched. */
static struct bucket *bucket_of(struct fuseln_site *site, int64_t rows)
{
    const int log_rows = log_of(rows) + 1;
    const uint64_t hash = ((uintptr_t)site >> 5 ^ (uint64_t)log_rows << 40) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < FUSELN_MEASURES_MAX; i++) {
        struct bucket *bucket = &buckets[((hash >> 40) + i) % FUSELN_MEASURES_MAX];
        struct fuseln_site *owner = NULL;
        int none = 0;
        if (!atomic_compare_exchange_strong(&bucket->site, &owner, site) && owner != site)
            continue;
        if (atomic_compare_exchange_strong(&bucket->log_rows, &none, log_rows) || none == log_rows)
            return bucket;
    }
    return NULL;
}

static float median_of(const _Atomic float *samples)
{
    float sorted[FUSELN_MEASURE_PAIRS];
    for (int i = 0; i < FUSELN_MEASURE_PAIRS; i++) {
        const float sample = atomic_load(&samples[i]);
        int at = i;
        for (; at > 0 && sorted[at - 1] > sample; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = sample;
    }
    return (sorted[FUSELN_MEASURE_PAIRS / 2 - 1] + sorted[FUSELN_MEASURE_PAIRS / 2]) / 2;
}

static void add_sample(struct bucket *bucket, int which, float us)
{
    const unsigned place = atomic_fetch_add(&bucket->placed[which], 1);
    if (place >= FUSELN_MEASURE_PAIRS)
        return;
    atomic_store(&bucket->us[which][place], us);
    atomic_fetch_add(&bucket->ready[which], 1);
    if (atomic_load(&bucket->ready[OURS]) < FUSELN_MEASURE_PAIRS ||
        atomic_load(&bucket->ready[ORIGINAL]) < FUSELN_MEASURE_PAIRS)
        return;
    const float ours = median_of(bucket->us[OURS]), original = median_of(bucket->us[ORIGINAL]);
    atomic_store(&bucket->median[OURS], ours);
    atomic_store(&bucket->median[ORIGINAL], original);
    atomic_store(&bucket->kept, ours <= original ? KEPT_OURS : KEPT_ORIGINAL);
}

static void collect(struct fuseln_context *context)
{
    struct bucket *bucket;
    int which;
    float us;
    while ((bucket = fuseln_timer_collect(context, &which, &us)))
        add_sample(bucket, which, us);
}

/* What any kernel of this operation must move, of tensors of rows x cols. */
static double bytes_of(const struct fuseln_call *call)
{
    static const unsigned char tensors[] = {[FUSELN_OP_FORWARD] = 2,
                                            [FUSELN_OP_MOMENTS] = 1,
                                            [FUSELN_OP_APPLY] = 2,
                                            [FUSELN_OP_DX] = 3,
                                            [FUSELN_OP_DGAMMA] = 2};
    return (double)call->rows * (double)call->cols * (double)fuseln_dtype_bytes(call->dtype) * tensors[call->op];
}

/* Whose turn it is: both once in each two launches, in the order of Thue and Morse, so that what repeats in the program
 * after any number of launches meets both. */
static int turn_of(unsigned turn)
{
    return __builtin_popcount(turn) % 2 ? ORIGINAL : OURS;
}

static bool all_issued(const struct bucket *bucket)
{
    return atomic_load(&bucket->issued[OURS]) >= TIMED_MAX && atomic_load(&bucket->issued[ORIGINAL]) >= TIMED_MAX;
}

/* The first two are not timed, as they may load something. */
static enum fuseln_verdict take_turn(struct bucket *bucket, struct fuseln_pass *pass)
{
    const unsigned turn = atomic_fetch_add(&bucket->turn, 1);
    const int which = turn_of(turn);
    if (turn > 1 && atomic_load(&bucket->issued[which]) < TIMED_MAX)
        pass->timer = fuseln_timer_begin(pass->job.context, pass->launch->stream, bucket, which);
    if (pass->timer)
        atomic_fetch_add(&bucket->issued[which], 1);
    return which == ORIGINAL && (pass->timer || turn <= 1) ? FUSELN_VERDICT_MEASURE : FUSELN_VERDICT_OK;
}

enum fuseln_verdict fuseln_measure_begin(struct fuseln_pass *pass)
{
    struct bucket *bucket = pass->site->key.target ? bucket_of(pass->site, pass->call.rows) : NULL;
    if (!bucket)
        return FUSELN_VERDICT_OK;
    if (!atomic_load(&bucket->kept))
        collect(pass->job.context);
    const int kept = atomic_load(&bucket->kept);
    if (kept != UNDECIDED)
        return kept == KEPT_OURS ? FUSELN_VERDICT_OK : FUSELN_VERDICT_SLOWER;
    if (fuseln_kernel_capturing(pass->launch->stream))
        return FUSELN_VERDICT_OK;
    atomic_store(&bucket->bytes, bytes_of(&pass->call));
    return all_issued(bucket) ? FUSELN_VERDICT_OK /* their results are still to come */ : take_turn(bucket, pass);
}

void fuseln_measure_count(struct fuseln_site *site, int64_t rows)
{
    struct bucket *bucket = site->key.target ? bucket_of(site, rows) : NULL;
    if (bucket && atomic_load(&bucket->kept) == KEPT_OURS)
        atomic_fetch_add_explicit(&bucket->launches, 1, memory_order_relaxed);
}

bool fuseln_measure_at(size_t index, struct fuseln_measure_view *ret_view)
{
    for (size_t i = 0; i < FUSELN_MEASURES_MAX; i++) {
        struct bucket *bucket = &buckets[i];
        const int log_rows = atomic_load(&bucket->log_rows) - 1, kept = atomic_load(&bucket->kept);
        if (log_rows < 0 || index-- > 0)
            continue;
        const unsigned ours = atomic_load(&bucket->ready[OURS]), original = atomic_load(&bucket->ready[ORIGINAL]);
        *ret_view = (struct fuseln_measure_view){.site = atomic_load(&bucket->site),
                                                 .rows_from = log_rows ? (int64_t)1 << log_rows : 0,
                                                 .rows_to = ((int64_t)2 << log_rows) - 1,
                                                 .pairs = ours < original ? ours : original,
                                                 .decided = kept != UNDECIDED,
                                                 .ours = kept == KEPT_OURS,
                                                 .ours_us = (double)atomic_load(&bucket->median[OURS]),
                                                 .original_us = (double)atomic_load(&bucket->median[ORIGINAL]),
                                                 .bytes = atomic_load(&bucket->bytes),
                                                 .launches = atomic_load(&bucket->launches)};
        return true;
    }
    return false;
}

void fuseln_measure_after_fork(void)
{
    memset(buckets, 0, sizeof buckets);
}
