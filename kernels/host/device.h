/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What src knows about our kernels: choose a variant (pure), and launch it. A launch made again also uses issue.h.
 * Implemented by kernels/host/plan.c (choice), kernels/host/image.c (which embedded image a device gets),
 * kernels/host/context.c (what was loaded, per CUDA context) and kernels/host/launch.c.
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
    int direct_rows;      /* up to so many rows DGAMMA is one launch, without partial sums */
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
    /* As in struct fuseln_ln_params. */
    int64_t partial_rows; /* of partial sums: a function of cols, dtype and device */
    int64_t parts;        /* partial rows that are written for this many rows */
    double inverse_cols;  /* 1 / cols */
    float inverse_cols_f;
    unsigned width;       /* bytes per access to x, dy, y, dx: 16, or less for unaligned rows */
    unsigned log_lanes;   /* of the threads that share a row, where the kernel serves several schedules */
    unsigned stages;      /* rows in a thread's ring of shared memory, where it has one */
    bool restricted;      /* MOMENTS and RMS norm: some of the call's pointers must be left out */
    size_t x_bytes;       /* of x; dy, y and dx are as large */
    size_t rstd_bytes;    /* of rstd; mean is as large */
    size_t scratch_bytes; /* of all partial rows. DGAMMA needs them; a DX that has them, not 0, can
                             make the sums of its DGAMMA in the same pass */
};

/*
 * Choose kernels and geometry for a call. Pure: no state, no CUDA call, thread-safe.
 * The variant depends on op, cols, dtype, alignment and device, never on rows (batch invariance); that of DGAMMA, which
 * is a sum over the batch, on whether the rows are few, too.
 * Returns OK, EMPTY, SHAPE, NULLPTR or ALIGN; *ret_plan is written only on OK.
 */
enum fuseln_verdict fuseln_plan_make(const struct fuseln_call *call, const struct fuseln_device *device,
                                     struct fuseln_plan *ret_plan);

/* The variant's kernel name as it stands in the image, e.g. "fuseln_ln_forward_warp8_f32". Static string. */
const char *fuseln_variant_name(const struct fuseln_variant *variant);

struct fuseln_context; /* one CUDA context: device, loaded modules, scratch */

/*
 * The calling thread's current CUDA context. One driver query (cuCtxGetId) once a context is known.
 * Returns OK, CONTEXT or DRIVER. Lock-free; the returned object lives as long as the process.
 */
enum fuseln_verdict fuseln_context_current(struct fuseln_context **ret_context);
const struct fuseln_device *fuseln_context_device(const struct fuseln_context *context);

/* Is the stream in stream capture, or may it be? One driver query. */
bool fuseln_kernel_capturing(void *stream);
/* The stream's id, by which no other stream of this process was or will ever be known. OK or CONTEXT. One driver query.
 */
enum fuseln_verdict fuseln_kernel_stream(void *stream, unsigned long long *ret_id);

/*
 * Device memory for partial sums of one stream of one context: at least `bytes`, owned until it is given back once the
 * last launch that uses it is issued (what comes later on the stream comes after it). A new one where all are taken;
 * limit: bytes that all may have on this device. NULL where there is none. Outside of stream capture only. Thread-safe,
 * lock-free.
 */
struct fuseln_slab;
struct fuseln_slab *fuseln_slab_take(struct fuseln_context *context, uint64_t stream_id, size_t bytes, size_t limit);
void fuseln_slab_give(struct fuseln_slab *slab);

/*
 * Launch a plan on stream (a CUstream; 0 legacy default, 2 per-thread default). Never synchronises; allocates and
 * loads only outside of stream capture, under cuThreadExchangeStreamCaptureMode(RELAXED), and only the first time.
 * scratch_limit: bytes of device memory that partial sums may take on this device. sums: NULL, or for half of a pair
 * memory of this stream, of plan->scratch_bytes: DX also makes the partial sums of its DGAMMA there; DGAMMA (of two
 * kernels) finds them there, and only its second kernel is launched.
 * Returns OK (launched), or CONTEXT, CAPTURE, SCRATCH, IMAGE or REFUSED: then nothing that the original does not
 * itself overwrite has been written, and the caller launches the original. call->params is completed on the way, and
 * what the operation shall neither read nor write is NULL after it. Thread-safe, lock-free.
 */
enum fuseln_verdict fuseln_kernel_launch(struct fuseln_context *context, struct fuseln_call *call,
                                         const struct fuseln_plan *plan, void *stream, size_t scratch_limit,
                                         const struct fuseln_slab *sums);

/*
 * The original of this call was just launched on stream: ours is launched there too, into device memory of ours, and
 * the device compares what both wrote, without waiting. slice: where all rows do not fit, which of them, 0 the first
 * ones, 1 the last ones, 2 those in the middle; -1 all, slice after slice. At most three kernels for a slice.
 * scratch_limit as fuseln_kernel_launch. Returns OK: its result will come by fuseln_check_collect, with owner, unless
 * the context goes first. Else CAPTURE, CONTEXT, SCRATCH, IMAGE, REFUSED, or
 * ALIAS (an output lies on an input), BUSY (too many results to come): nothing of the host's was written.
 */
enum fuseln_verdict fuseln_kernel_check(struct fuseln_context *context, const struct fuseln_call *call, void *stream,
                                        size_t scratch_limit, int slice, void *owner);
/* The result of a check that is done, and the owner that it was started with; NULL while there is none. Thread-safe,
 * asks nobody. */
void *fuseln_check_collect(struct fuseln_check_result *ret_result);

/*
 * The time between two points of a stream, on the device. begin: the first point is here; NULL in stream capture, or
 * where no event can be had. end: the second one; with FUSELN_TIMER_DROP, there is none, and the timer is given back;
 * false: so it was. collect: the owner, kind and microseconds of a timer of this context that is done; NULL while there
 * is none. Nothing waits; thread-safe, lock-free; all calls with the context current.
 */
struct fuseln_timer;
#define FUSELN_TIMER_DROP ((void *)-1)
struct fuseln_timer *fuseln_timer_begin(struct fuseln_context *context, void *stream, void *owner, int kind);
bool fuseln_timer_end(struct fuseln_timer *timer, void *stream);
void *fuseln_timer_collect(struct fuseln_context *context, int *ret_kind, float *ret_us);

/* What the report says of each device that fuseln saw. Read without any CUDA call; index 0 ... count-1. */
struct fuseln_device_report {
    int index;
    char name[96];
    char compute_capability[8]; /* "9.0" */
    int driver_version;         /* as cuDriverGetVersion, 12020 */
    char image[24];             /* "sm_90", "compute_90" (PTX), or "" while none was loaded */
    const char *compiler;       /* compiler of that image, e.g. "NVRTC 12.0.140"; "" while none */
    size_t scratch_bytes;       /* device memory held for partial sums */
};
size_t fuseln_device_reports(struct fuseln_device_report *ret_reports, size_t capacity); /* returns how many */

/* After fork, in the child: forget every context (a CUDA context does not survive fork). Async-signal-safe. */
void fuseln_kernels_after_fork(void);

#endif
