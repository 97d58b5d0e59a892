/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User objects of the stand-in driver: counted references, of the program and of graphs. When the last one is gone, the
 * destructor runs on a thread that the program does not know, where CUDA may not be called; with SOFTGPU_SEED some time
 * later.
 */
#include <pthread.h>
#include <stdlib.h>

#include "driver_objects.h"

struct CUuserObject_st {
    struct softgpu_object object;
    CUhostFn destroy;
    void *data;
    unsigned references;
    CUuserObject next; /* of those that wait */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUuserObject waiting;

static void *destructor_thread(void *object)
{
    CUuserObject ended = object;
    softgpu_thread_get()->destroys = true;
    ended->destroy(ended->data);
    return NULL;
}

static void destroy(CUuserObject object)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, destructor_thread, object) != 0)
        abort();
    pthread_join(thread, NULL);
    softgpu_object_kill(object);
}

void softgpu_destructors_run(void)
{
    pthread_mutex_lock(&lock);
    CUuserObject object = waiting;
    waiting = NULL;
    pthread_mutex_unlock(&lock);
    while (object) {
        CUuserObject next = object->next;
        destroy(object);
        object = next;
    }
}

static bool change(CUuserObject object, long by)
{
    pthread_mutex_lock(&lock);
    const bool valid = softgpu_object_is(object, SOFTGPU_USER_OBJECT) && object->references && by &&
                       (long)object->references + by >= 0;
    if (valid)
        object->references += (unsigned)by;
    const bool last = valid && !object->references;
    if (last) {
        object->next = waiting;
        waiting = object;
    }
    pthread_mutex_unlock(&lock);
    if (last && !softgpu_order_is_random())
        softgpu_destructors_run();
    return valid;
}

CUresult cuUserObjectCreate(CUuserObject *ret_object, void *data, CUhostFn destructor, unsigned count, unsigned flags)
{
    if (!destructor || !count || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    CUuserObject object = softgpu_object_make(SOFTGPU_USER_OBJECT, sizeof *object);
    object->destroy = destructor;
    object->data = data;
    object->references = count;
    *ret_object = object;
    return CUDA_SUCCESS;
}

CUresult cuUserObjectRetain(CUuserObject object, unsigned count)
{
    return change(object, count) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuUserObjectRelease(CUuserObject object, unsigned count)
{
    return change(object, -(long)count) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static void references_add(CUgraph graph, CUuserObject object, unsigned count)
{
    struct softgpu_references *references = softgpu_realloc(NULL, sizeof *references);
    *references = (struct softgpu_references){object, count, graph->references};
    graph->references = references;
}

CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned count, unsigned flags)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH) || !softgpu_object_is(object, SOFTGPU_USER_OBJECT) || !count ||
        flags > CU_GRAPH_USER_OBJECT_MOVE)
        return CUDA_ERROR_INVALID_VALUE;
    if (!(flags & CU_GRAPH_USER_OBJECT_MOVE) && !change(object, count))
        return CUDA_ERROR_INVALID_VALUE;
    references_add(graph, object, count);
    return CUDA_SUCCESS;
}

CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned count)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_VALUE;
    for (struct softgpu_references *at = graph->references; at; at = at->next) {
        if (at->object != object || at->count < count)
            continue;
        at->count -= count;
        return cuUserObjectRelease(object, count);
    }
    return CUDA_ERROR_INVALID_VALUE;
}

void softgpu_references_copy(CUgraph to, const struct CUgraph_st *from)
{
    for (const struct softgpu_references *at = from->references; at; at = at->next)
        if (at->count && change(at->object, at->count))
            references_add(to, at->object, at->count);
}

void softgpu_references_drop(CUgraph graph)
{
    while (graph->references) {
        struct softgpu_references *references = graph->references;
        graph->references = references->next;
        if (references->count)
            cuUserObjectRelease(references->object, references->count);
        free(references);
    }
}
