/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that src and hooks know about our kernels: choose one (plan.c, pure), find the CUDA context of this thread
 * (context.c), launch (launch.c), check an original against ours (check.c), time a launch (timer.c).
 */
#ifndef FUSELN_KERNELS_H
#define FUSELN_KERNELS_H

#include "base/fuseln.h"
#include "kernels/params.h"

/* Facts of one device, read once per device; all of a plan's inputs besides the call. */
struct fuseln_device {
    int index; /* CUdevice ordinal */
    int cc_major, cc_minor;
    int sm_count;
    int smem_optin_bytes; /* largest dynamic shared memory a block may ask for */
    int direct_rows;      /* FUSELN_DIRECT_ROWS; tests choose others */
};

/* One compiled kernel: a row of kernels/schedules.h. */
struct fuseln_variant;

/* What decide returns and launch carries out: one kernel, or two back to back for DGAMMA (partial sums, reduction)
 * unless the rows are few. */
struct fuseln_plan {
    const struct fuseln_variant *kernel[2]; /* [1] is NULL except for DGAMMA of many rows */
    unsigned grid[2];                       /* blocks, x only */
    unsigned block[2];                      /* threads, x only */
    unsigned smem_bytes[2];                 /* dynamic shared memory */
    /* As in struct fuseln_ln_params, in its order. */
    int64_t partial_rows; /* of partial sums: a function of cols, dtype and device */
    int64_t parts;        /* partial rows that are written for this many rows */
    double inverse_cols;  /* 1 / cols */
    float inverse_cols_f;
    unsigned width;       /* bytes per access to x, dy, y, dx: 16, or less for unaligned rows */
    unsigned log_lanes;   /* of the threads that share a row, where the kernel serves several schedules */
    unsigned stages;      /* rows in a thread's ring of shared memory, where it has one */
    size_t x_bytes;       /* of x; dy, y and dx are as large */
    size_t rstd_bytes;    /* of rstd; mean is as large */
    size_t scratch_bytes; /* of all partial rows. DGAMMA needs them; a DX that has them, not 0, can
                             make the sums of its DGAMMA in the same pass */
    const struct fuseln_variant *reduction; /* of such a DX: the kernel that its DGAMMA will need */
};

/*
 * Choose kernels and geometry for a call. Pure: no state, no CUDA call, thread-safe.
 * The variant depends on op, cols, dtype, alignment and device, never on rows (batch invariance); that of DGAMMA, which
 * is a sum over the batch, on whether the rows are few, too.
 * Returns OK, EMPTY, SHAPE, REQUIRE (no kernel adds that up), NULLPTR or ALIGN; *ret_plan is written only on OK.
 */
enum fuseln_verdict fuseln_plan_make(const struct fuseln_call *call, const struct fuseln_device *device,
                                     struct fuseln_plan *ret_plan);

/* The variant's kernel name as it stands in the image, e.g. "fuseln_ln_forward_warp8_f32". Static string. */
const char *fuseln_variant_name(const struct fuseln_variant *variant);

struct fuseln_context; /* one CUDA context: device, loaded modules, scratch */

/* The calling thread's current CUDA context; NULL where there is none that can be used. One driver query (cuCtxGetId),
 * and no lock, once a context is known. The object lives as long as the process. */
struct fuseln_context *fuseln_context_current(void);
/* Why there was none: DRIVER or CONTEXT. */
enum fuseln_verdict fuseln_context_missing(void);
const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context);

/* Is the stream in stream capture, or may it be? One driver query. */
bool fuseln_kernel_capturing(void *stream);
/* The stream's id, by which no other stream of this process was or will ever be known. OK or CONTEXT. One driver query.
 */
enum fuseln_verdict fuseln_kernel_stream(void *stream, unsigned long long *ret_id);

struct fuseln_slab; /* device memory for partial sums */

/* A plan to be launched in the current context on stream (a CUstream; 0 legacy default, 2 per-thread default). */
struct fuseln_job {
    struct fuseln_context *context;
    const struct fuseln_plan *plan;
    void *stream;
    /* NULL, or for half of a pair memory of this stream, of plan->scratch_bytes: DX also makes the partial sums of its
     * DGAMMA there; DGAMMA (of two kernels) finds them there, and only its second kernel is launched. */
    struct fuseln_slab *sums;
};

/*
 * Device memory for the partial sums of a job, of its stream: plan->scratch_bytes, owned until it is released once the
 * last launch that uses it is issued (what comes later on the stream comes after it). A new slab where all are owned.
 * In stream capture only for DX, of the captured stream and graph. OK, CAPTURE (the stream is in capture, or may be,
 * and has none for this job), CONTEXT (it has no id) or SCRATCH. Two driver queries, in capture more. Thread-safe,
 * lock-free.
 */
enum fuseln_verdict fuseln_slab_acquire(const struct fuseln_job *job, struct fuseln_slab **ret_slab);
void fuseln_slab_release(struct fuseln_slab *slab);
/* The program changes what comes after what in a capture: two pairs of a stream may not be in order there. */
void fuseln_scratch_unordered(void);
/* It captures into graphs that are there already. They may be bodies of conditional nodes, of which nobody says how
 * long they hold a user object: no slabs in captures from now on. */
void fuseln_scratch_into_graph(void);

/* The name of the kernel that the job launches, of two the first. Static string. */
const char *fuseln_job_kernel(const struct fuseln_job *job);

/*
 * Launch a plan for this call. Never synchronises; allocates and loads only outside of stream capture, under
 * cuThreadExchangeStreamCaptureMode(RELAXED), and only the first time.
 * Returns OK (launched), or CONTEXT, CAPTURE, SCRATCH, IMAGE or REFUSED: then nothing that the original does not
 * itself overwrite has been written, and the caller launches the original. What the operation shall neither read nor
 * write is NULL in the call, as decoding leaves it; call->params is completed on the way. Thread-safe, lock-free.
 */
enum fuseln_verdict fuseln_kernel_launch(const struct fuseln_job *job, struct fuseln_call *call);

/* Copies of x and residual in rows of a launch whose original writes over them. */
struct fuseln_saved {
    struct fuseln_slab *slab; /* NULL: none were made */
    int64_t first, rows;
    struct fuseln_slab *hashes; /* of what must not change; NULL: none were made */
};

/* A check of a launch whose original was just launched on stream. */
struct fuseln_check {
    struct fuseln_context *context;
    void *stream;
    int slice; /* where all rows do not fit: 0 the first ones, 1 the last, 2 those in the middle, -1 all, one by one */
    void *owner;                 /* comes back with the result */
    bool one_pass, round_affine; /* how the original computes (base/target.h) */
    struct fuseln_saved saved;
    /* Of a user's row: */
    bool proves;      /* tell also whether the data would have shown a mistake in it, and what else was written */
    double other_eps; /* another argument that might be eps; 0: there is none */
    unsigned inputs;  /* bit r: what the pointer of role r (base/target.h) points to must not change */
};

/* Does each tensor of the call lie inside one allocation of the driver's? False, too, where it does not tell. */
bool fuseln_kernel_check_fits(const struct fuseln_call *call);

/* Before the original: where its outputs lie on its inputs, copies those, or as many rows of them as fit. They are the
 * caller's to release. */
struct fuseln_saved fuseln_kernel_check_save(const struct fuseln_check *check, const struct fuseln_call *call);

/*
 * Launch ours beside the original, into device memory of ours, and have the device count how what both wrote differs,
 * without waiting. At most three kernels for a slice. Returns OK: the result will come by fuseln_check_collect, unless
 * the context goes first. Else CAPTURE, CONTEXT, SCRATCH, IMAGE, REFUSED, ALIAS (an output lies on an input,
 * which was not saved) or BUSY
 * (too many results to come): nothing of the host's was written.
 */
enum fuseln_verdict fuseln_kernel_check(const struct fuseln_check *check, const struct fuseln_call *call);
/* The result of a check that is done, and its owner; NULL while there is none. Thread-safe, makes no driver call. */
void *fuseln_check_collect(struct fuseln_check_result *ret_result);

/*
 * The time between two points of a stream that is not being captured, on the device. begin: the first point is here;
 * NULL where no event can be had. end: the second one; not launched: there is none, and the timer is given back.
 * collect: the owner, kind and microseconds of a timer of this context that is done; NULL while there is none. Nothing
 * waits; thread-safe, lock-free; all calls with the context current.
 */
struct fuseln_timer;
struct fuseln_timer *fuseln_timer_begin(struct fuseln_context *context, void *stream, void *owner, int kind);
void fuseln_timer_end(struct fuseln_timer *timer, void *stream, bool launched);
void *fuseln_timer_collect(struct fuseln_context *context, int *ret_kind, float *ret_us);

enum { FUSELN_DEVICES_MAX = 64 };

/* What the report says of each device that fuseln saw. Read without any CUDA call; index 0 ... count-1. */
struct fuseln_device_report {
    int index;
    char name[96];
    char compute_capability[8]; /* "9.0" */
    int driver_version;         /* as cuDriverGetVersion, 12020 */
    /* Static strings: "sm_90", "compute_90" (PTX), or "" while none was loaded; its compiler, e.g. "NVRTC 12.0.140". */
    const char *image, *compiler;
    size_t scratch_bytes;  /* device memory held for partial sums */
    size_t scratch_wanted; /* FUSELN_SCRATCH that would have held all; 0: it did */
};
size_t fuseln_device_reports(struct fuseln_device_report *ret_reports, size_t capacity); /* returns how many */

/* After fork, in the child: forget every context (none survives fork) and all that belongs to it. Async-signal-safe. */
void fuseln_context_after_fork(void);
void fuseln_scratch_after_fork(void);
void fuseln_check_after_fork(void);
void fuseln_timer_after_fork(void);

#endif
