/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the stand-in driver share: its objects, the thread's state, errors and the submission of work.
 * Execution is synchronous unless SOFTGPU_SEED is set (driver_order.c): an operation has run when its call returns,
 * unless the stream captures; so "issue order" is the only order, and a query never says "not ready". Objects are never
 * unmapped: a handle used after destruction is refused, and handles are reused as a driver reuses them. No thread_local
 * here (see executor.h).
 */
#ifndef SOFTGPU_DRIVER_OBJECTS_H
#define SOFTGPU_DRIVER_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/params.h"
#include "driver_table.h"

enum { /* CUresult */
       CUDA_SUCCESS = 0,
       CUDA_ERROR_INVALID_VALUE = 1,
       CUDA_ERROR_OUT_OF_MEMORY = 2,
       CUDA_ERROR_NOT_INITIALIZED = 3,
       CUDA_ERROR_INVALID_DEVICE = 101,
       CUDA_ERROR_INVALID_IMAGE = 200,
       CUDA_ERROR_INVALID_CONTEXT = 201,
       CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
       CUDA_ERROR_INVALID_PTX = 218,
       CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
       CUDA_ERROR_FILE_NOT_FOUND = 301,
       CUDA_ERROR_INVALID_HANDLE = 400,
       CUDA_ERROR_ILLEGAL_STATE = 401,
       CUDA_ERROR_NOT_FOUND = 500,
       CUDA_ERROR_NOT_READY = 600,
       CUDA_ERROR_ILLEGAL_ADDRESS = 700,
       CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
       CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
       CUDA_ERROR_LAUNCH_FAILED = 719,
       CUDA_ERROR_NOT_SUPPORTED = 801,
       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
       CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
       CUDA_ERROR_STREAM_CAPTURE_MERGE = 902,
       CUDA_ERROR_STREAM_CAPTURE_UNMATCHED = 903,
       CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906,
       CUDA_ERROR_CAPTURED_EVENT = 907,
       CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD = 908,
};

enum softgpu_kind {
    SOFTGPU_DEAD,
    SOFTGPU_CONTEXT,
    SOFTGPU_STREAM,
    SOFTGPU_EVENT,
    SOFTGPU_MODULE,
    SOFTGPU_LIBRARY,
    SOFTGPU_KERNEL,   /* CUkernel: of a library */
    SOFTGPU_FUNCTION, /* CUfunction: of a module, or of a library in a context */
    SOFTGPU_GRAPH,
    SOFTGPU_GRAPH_EXEC,
    SOFTGPU_ALLOCATION, /* these of driver_virtual.c */
    SOFTGPU_RESERVATION,
    SOFTGPU_MAPPING,
};

struct softgpu_object {
    enum softgpu_kind kind; /* what a handle is checked by */
    size_t bytes;
    unsigned long long id;       /* unique for the life of the process */
    struct softgpu_object *next; /* all that ever were, dead ones too */
};

struct softgpu_context {
    struct softgpu_object object;
    CUdevice device;
    bool primary;
    unsigned references, flags;
    CUresult error; /* sticky */
    CUstream legacy;
};

struct softgpu_stream {
    struct softgpu_object object;
    CUcontext context;
    unsigned flags; /* 1: does not block with the legacy stream */
    int priority;
    CUgraph capture; /* the graph being captured into, or NULL */
    bool capture_origin, capture_invalid;
    int capture_mode;
    unsigned long capture_thread;
};

struct softgpu_event {
    struct softgpu_object object;
    double recorded_ms;        /* 0: never */
    unsigned long long record; /* softgpu_order_record's */
    CUgraph capture;           /* the capture it was recorded in, or NULL */
};

/* What an image says of one kernel. */
struct softgpu_image_kernel {
    char *name;
    unsigned registers, threads_max, smem_static_bytes, param_bytes; /* 0: not known */
};

struct softgpu_module {
    struct softgpu_object object;
    CUcontext context; /* NULL for a library */
    bool any_name;     /* a fat binary: its kernels are not read */
    struct softgpu_image_kernel *kernels;
    size_t kernel_count;
};

/* The one argument of a kernel of ours, by value: a function that takes one of them finds it in the same place. */
union softgpu_ours {
    struct fuseln_ln_params launch;
    struct fuseln_check_params check;
};

struct softgpu_kernel {
    struct softgpu_object object;
    CUmodule module;
    struct softgpu_image_kernel facts;
    void (*run)(union softgpu_ours params); /* ours, compiled for the CPU; NULL: an original */
    unsigned smem_dynamic_max;
    CUfunction function; /* of a KERNEL: made by cuKernelGetFunction, or NULL */
    char name[];
};

/* One operation on a stream: runs at once, or is kept in a graph and runs when the graph does. */
struct softgpu_operation {
    CUresult (*run)(const struct softgpu_operation *operation);
    CUresult (*hold)(struct softgpu_operation *operation); /* gives a copy its own parameters; NULL: has none */
    union {
        struct softgpu_launch {
            CUfunction function;
            unsigned grid[3], block[3], smem_bytes;
            void **params; /* originals only; one allocation of their own once held */
            union softgpu_ours ours;
        } launch;
        struct {
            void *target;
            const void *source;
            size_t bytes;
        } copy;
        struct {
            void *target;
            unsigned value, width;
            size_t count;
        } set;
        struct {
            void (*function)(void *);
            void *data;
        } host;
        CUgraph graph;
    };
    bool copies; /* the member copy is the one that holds */
    unsigned long long stream_id;
    CUcontext context;
};

struct softgpu_graph {
    struct softgpu_object object;
    bool capturing;
    struct softgpu_operation *operations;
    size_t count;
};

/* The device and the driver it plays, from the environment: SOFTGPU_CC, SOFTGPU_SMS, SOFTGPU_DRIVER_VERSION,
 * SOFTGPU_DEVICES. */
struct softgpu_facts {
    int cc_major, cc_minor, sm_count, driver_version, device_count;
};
const struct softgpu_facts *softgpu_facts_get(void);

enum { SOFTGPU_CONTEXT_DEPTH_MAX = 32 };
struct softgpu_thread {
    CUcontext contexts[SOFTGPU_CONTEXT_DEPTH_MAX]; /* the last one is current */
    int depth;
    int capture_mode; /* CUstreamCaptureMode */
    CUstream default_streams[SOFTGPU_CONTEXT_DEPTH_MAX];
};
struct softgpu_thread *softgpu_thread_get(void);

/* Objects: zeroed but for their header; NULL without memory. */
void *softgpu_object_make(enum softgpu_kind kind, size_t bytes);
void softgpu_object_kill(void *object);
bool softgpu_object_is(const void *object, enum softgpu_kind kind);
struct softgpu_object *softgpu_object_next(struct softgpu_object *after, enum softgpu_kind kind); /* NULL: first */

/* A message "softgpu: ..." on stderr. An error also makes the process exit with status 86. */
void softgpu_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void softgpu_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

unsigned softgpu_errors_take(void); /* for tests: how many there were, forgotten from now on */

/* NULL for a device that is not there, or without memory. Destroying takes its streams along. */
CUcontext softgpu_context_make(CUdevice device, bool primary, unsigned flags);
void softgpu_context_destroy(CUcontext context);
/* The current context if it can be used, else why not. */
CUresult softgpu_context_ready(CUcontext *ret_context);
/* The stream behind a handle, for work: 0x0, 0x1 and 0x2 too. */
CUresult softgpu_stream_ready(CUstream handle, CUstream *ret_stream);
static inline CUstream softgpu_stream_ptsz(CUstream handle)
{
    return handle ? handle : (CUstream)0x2;
}

/* 0, or 900 if a capture forbids a call that may synchronise (load, allocate, free, wait); that capture is lost. */
CUresult softgpu_capture_forbids(void);
/* Whether work on the legacy stream would join a capture: then 906, and the capture is lost. */
CUresult softgpu_capture_implicit(CUcontext context);
/* Runs the operation, or keeps a copy of it in the graph that the stream captures into. */
CUresult softgpu_stream_submit(CUstream handle, struct softgpu_operation *operation);
CUresult softgpu_graph_append(CUgraph graph, const struct softgpu_operation *operation);

/* Work that is delayed, where SOFTGPU_SEED is set; else there is none, and these return at once. */
bool softgpu_order_is_drawn(void);
CUresult softgpu_order_submit(CUstream stream, const struct softgpu_operation *operation);
void softgpu_order_wait(CUstream stream); /* for what it was given; NULL: for everything */
unsigned long long softgpu_order_record(CUstream stream);
void softgpu_order_wait_for(CUstream stream, unsigned long long record);
void softgpu_order_reach(unsigned long long record);
bool softgpu_order_has_reached(unsigned long long record);

/* Reads the kernels of a cubin, PTX text or fat binary into module; checks that device and driver can load it. */
CUresult softgpu_image_read(const void *image, CUmodule module);

#endif
