/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the stand-in driver share: its objects, the thread's state, errors and the submission of work.
 * Types and prototypes are those of NVIDIA's cuda.h, with every version of every function declared.
 * Unless SOFTGPU_SEED is set (driver_order.c), work is synchronous: an operation has run when its call returns, except
 * in a capture; so the order of the calls is the only order, and a query never says "not ready". Objects are never
 * unmapped: a handle used after its destruction is refused, and handles are reused, as a real driver does it. Nothing
 * here may be thread_local (see executor.h).
 */
#ifndef SOFTGPU_DRIVER_OBJECTS_H
#define SOFTGPU_DRIVER_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include "kernels/params.h"

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
    SOFTGPU_USER_OBJECT,
    SOFTGPU_ALLOCATION, /* this and the next two: driver_virtual.c */
    SOFTGPU_RESERVATION,
    SOFTGPU_MAPPING,
};

struct softgpu_object {
    enum softgpu_kind kind; /* tells whether a handle is valid */
    size_t bytes;
    unsigned long long id;       /* unique for the life of the process */
    struct softgpu_object *next; /* every object ever made, dead ones too */
};

struct CUctx_st {
    struct softgpu_object object;
    CUdevice device;
    bool primary;
    unsigned references, flags;
    CUresult error; /* sticky */
    CUstream legacy;
};

/* Nodes of the graph that is captured into, on which what comes next depends. Memory of their own. */
struct softgpu_nodes {
    CUgraphNode *at;
    size_t count;
};

struct CUstream_st {
    struct softgpu_object object;
    CUcontext context;
    unsigned flags; /* CU_STREAM_NON_BLOCKING: independent of the legacy stream */
    int priority;
    CUgraph capture;               /* the graph being captured into, or NULL */
    struct softgpu_nodes captured; /* its last node there, and those of other streams that it waits for */
    bool capture_origin, capture_invalid;
    CUstreamCaptureMode capture_mode;
    unsigned long capture_thread;
};

struct CUevent_st {
    struct softgpu_object object;
    double recorded_ms;        /* 0: never */
    unsigned long long record; /* by softgpu_order_mark */
    CUgraph capture;           /* the capture it was recorded in, or NULL */
    unsigned long long capture_id;
    struct softgpu_nodes captured;
};

/* What an image says about one kernel. */
struct softgpu_image_kernel {
    char *name;
    unsigned registers, threads_max, smem_static_bytes, param_bytes; /* 0: unknown */
    struct softgpu_parameter {
        unsigned offset, bytes;
    } * params; /* the module's */
    unsigned param_count;
};

struct CUmod_st { /* a CUlibrary too */
    struct softgpu_object object;
    CUcontext context; /* NULL for a library */
    CUmodule library;  /* whose module it is in that context, or NULL */
    bool any_name;     /* a fat binary, whose kernels are not read: it holds whatever is asked for */
    struct softgpu_image_kernel *kernels;
    size_t kernel_count;
};

/* The one argument of a kernel of ours. A union is passed by value in the same place as its member would be. */
union softgpu_ours {
    struct fuseln_ln_params launch;
    struct fuseln_check_params check;
};

struct CUfunc_st { /* a CUkernel too */
    struct softgpu_object object;
    CUmodule module;
    struct softgpu_image_kernel facts;
    void (*run)(union softgpu_ours params); /* ours, compiled for the CPU; NULL: an original */
    unsigned smem_dynamic_max;
    CUfunction function; /* of a CUkernel: what cuKernelGetFunction returned, or NULL */
    char name[];
};

/* One operation on a stream: runs at once, or is stored in a graph and runs when the graph does. */
struct softgpu_operation {
    CUresult (*run)(const struct softgpu_operation *operation);
    CUresult (*hold)(struct softgpu_operation *operation); /* copies a launch's parameters; NULL: nothing to copy */
    void (*run_early)(const struct softgpu_operation *operation); /* what may run before the entry ahead; or NULL */
    union {
        struct softgpu_launch {
            CUfunction function;
            unsigned grid[3], block[3], smem_bytes;
            bool programmatic; /* may start before what is ahead of it on the stream has ended */
            void **params;     /* originals only; an allocation of our own once held */
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
            CUhostFn function;
            void *data;
        } host;
        CUgraph graph; /* of a launch, which holds it until it is done */
    };
    bool is_copy;
    unsigned long long stream_id;
    CUcontext context;
};

struct CUgraphNode_st {
    size_t index;                       /* in its graph: after those that it depends on */
    struct softgpu_operation operation; /* run NULL: nothing but an order, or a child */
    CUgraph child;                      /* the graph in its place, its own, or NULL */
    size_t *after;                      /* the nodes that it depends on */
    size_t after_count;
};

struct CUgraph_st {
    struct softgpu_object object;
    bool capturing;
    bool given; /* to cuStreamBeginCaptureToGraph: a capture does not destroy it */
    unsigned long long capture_id;
    CUgraphNode *nodes;
    size_t count;
    struct softgpu_references { /* to user objects */
        CUuserObject object;
        unsigned count;
        struct softgpu_references *next;
    } * references;
    unsigned holders; /* the program or an executable graph, and launches that are not done */
};

struct CUgraphExec_st {
    struct softgpu_object object;
    CUgraph graph;                  /* a copy, with the nodes of children in their places */
    unsigned long long last_launch; /* of softgpu_order_graph: launches of one executable graph run in turn */
};

/* The device and driver that this one stands in for, from SOFTGPU_CC, SOFTGPU_SMS, SOFTGPU_DRIVER_VERSION and
 * SOFTGPU_DEVICES. */
struct softgpu_facts {
    int cc_major, cc_minor, sm_count, driver_version, device_count;
};
const struct softgpu_facts *softgpu_facts_get(void);

enum { SOFTGPU_CONTEXT_DEPTH_MAX = 32 };
struct softgpu_thread {
    CUcontext contexts[SOFTGPU_CONTEXT_DEPTH_MAX]; /* the last one is current */
    int depth;
    CUstreamCaptureMode capture_mode;
    bool destroys; /* it runs a user object's destructor, which may not call CUDA */
    CUstream default_streams[SOFTGPU_CONTEXT_DEPTH_MAX];
};
struct softgpu_thread *softgpu_thread_get(void);

/* realloc, which ends the process where the host has no memory left: no driver's error. */
void *softgpu_realloc(void *memory, size_t bytes);
/* A new object is zeroed apart from its header. */
void *softgpu_object_make(enum softgpu_kind kind, size_t bytes);
void softgpu_object_kill(void *object);
bool softgpu_object_is(const void *object, enum softgpu_kind kind);
void *softgpu_object_next(const void *after, enum softgpu_kind kind); /* NULL: the first */

/* A message "softgpu: ..." on stderr. An error also makes the process exit with status 86. */
void softgpu_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void softgpu_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned softgpu_errors_take(void); /* for tests: returns the number of errors so far and resets it */

/* NULL for a device that does not exist. Destroying a context destroys its streams. */
CUcontext softgpu_context_make(CUdevice device, bool primary, unsigned flags);
void softgpu_context_destroy(CUcontext context);
/* The current context, or why it cannot be used. */
CUresult softgpu_context_ready(CUcontext *ret_context);
/* The stream behind a handle (NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD too), or why it cannot take work. */
CUresult softgpu_stream_ready(CUstream handle, CUstream *ret_stream);
static inline CUstream softgpu_stream_ptsz(CUstream handle)
{
    return handle ? handle : CU_STREAM_PER_THREAD;
}

/* Error 900 if a capture forbids a call that may synchronise (load, allocate, free, wait); the capture is then lost. */
CUresult softgpu_capture_forbids(void);
/* Error 906 if work on this stream, since it is the legacy one, would join a capture, which is then lost. */
CUresult softgpu_capture_implicit(CUstream stream);
/* Runs the operation, or stores a copy of it in the graph that the stream captures into. */
CUresult softgpu_stream_submit(CUstream handle, struct softgpu_operation *operation);

/* The same in a capture: one more node, an operation or a child. */
CUresult softgpu_capture_append(CUstream stream, const struct softgpu_operation *operation, CUgraph child);

/* driver_graph.c. A new node behind others of its graph; copies what operation (or NULL) and child (or NULL) hold. */
CUgraphNode softgpu_graph_add(CUgraph graph, const struct softgpu_nodes *after,
                              const struct softgpu_operation *operation, CUgraph child);
void softgpu_graph_drop(CUgraph graph); /* one holder less */
/* *nodes = others, or both. Freed: set to {NULL, 0}. */
void softgpu_nodes_set(struct softgpu_nodes *nodes, const struct softgpu_nodes *others);
void softgpu_nodes_join(struct softgpu_nodes *nodes, const struct softgpu_nodes *others);

/* driver_user_object.c: a graph's references; those of `from` again, given back. */
void softgpu_references_copy(CUgraph to, const struct CUgraph_st *from);
void softgpu_references_drop(CUgraph graph);
void softgpu_destructors_run(void); /* that were put off */

/* Delayed work, where SOFTGPU_SEED is set; elsewhere no work waits, and these return at once. */
bool softgpu_order_is_random(void);
CUresult softgpu_order_submit(CUstream stream, const struct softgpu_operation *operation);
CUresult softgpu_order_graph(CUstream stream, CUgraphExec exec);
void softgpu_order_wait(CUstream stream); /* until the stream's work is done; NULL: all work */
/* A mark behind the stream's work so far and behind another mark, or 0. Returns it; 0 where no work waits. */
unsigned long long softgpu_order_mark(CUstream stream, unsigned long long after);
void softgpu_order_reach(unsigned long long record);
bool softgpu_order_has_reached(unsigned long long record);

/*
 * driver_virtual.c: memory whose addresses the program reserves and maps itself (cuMemAddressReserve, cuMemCreate,
 * cuMemMap). To the rest of the driver, what is mapped with access is an allocation (device_memory.h). The rest of a
 * reservation has no access: host code that touches it faults. Access is the same for every device.
 */
/* Whether this process ever reserved addresses; until then everything is allowed. */
bool softgpu_virtual_is_in_use(void);
/* Whether work may use these bytes. Outside of reservations it may; inside it needs a mapping with access. A refusal is
 * an error that says who does what. */
bool softgpu_virtual_allows(const char *who, const char *does, const void *at, size_t bytes);

/*
 * driver_cost.c: the device's own clock. With SOFTGPU_COST=SEED each launch takes a time drawn for its kernel's name
 * and grid, 5 to 500 us, give or take 2 % from launch to launch, and events read that clock instead of the host's.
 */
/* Advances the clock by one launch. Returns by how much, in us; 0 without SOFTGPU_COST. */
double softgpu_cost_spend(const char *kernel, unsigned grid_x);
double softgpu_now_ms(void); /* of that clock, or of the host's */

/*
 * driver_plant.c: a mistake planted for tests of the checks, in the outputs of each of our kernels after it ran. With
 * SOFTGPU_PLANT=tail the last three elements of a row repeat those before them. Any other value is an error.
 */
void softgpu_plant(const struct softgpu_launch *launch);

/* driver_signature.c: how many parameters a kernel's mangled name tells, 0 if it does not say; ret_pointers: which of
 * the first `room` are pointers. */
size_t softgpu_signature(const char *mangled, bool *ret_pointers, size_t room);

/* Reads the kernels of a cubin, PTX text or fat binary into module, or says why device and driver cannot load it. */
enum { SOFTGPU_FATBIN = 0xba55ed50, SOFTGPU_FATBIN_WRAPPER = 0x466243b1 };
/* The PTX in a fat binary (driver_fatbin.c), which the caller frees; NULL where it has none that is not compressed. */
char *softgpu_fatbin_ptx(const void *fatbin);
CUresult softgpu_image_read(const void *image, CUmodule module);

#endif
