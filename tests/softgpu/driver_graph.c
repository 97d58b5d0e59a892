/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs of the stand-in driver: nodes and what each depends on. A replay runs a node after those alone: with
 * SOFTGPU_SEED in any order that this allows (driver_order.c). A graph's copies (clones, children, executable graphs)
 * refer to its user objects, too; an executable graph and what it refers to last until its launches are done.
 */
#include <stdlib.h>
#include <string.h>

#include "driver_objects.h"

void softgpu_nodes_join(struct softgpu_nodes *nodes, const struct softgpu_nodes *others)
{
    if (others->count)
        nodes->at = softgpu_realloc(nodes->at, (nodes->count + others->count) * sizeof(CUgraphNode));
    for (size_t i = 0; i < others->count; ++i)
        nodes->at[nodes->count++] = others->at[i];
}

void softgpu_nodes_set(struct softgpu_nodes *nodes, const struct softgpu_nodes *others)
{
    struct softgpu_nodes set = {0};
    softgpu_nodes_join(&set, others);
    free(nodes->at);
    *nodes = set;
}

CUresult cuGraphCreate(CUgraph *ret_graph, unsigned flags)
{
    (void)flags;
    *ret_graph = softgpu_object_make(SOFTGPU_GRAPH, sizeof **ret_graph);
    (*ret_graph)->holders = 1;
    return CUDA_SUCCESS;
}

static void node_free(CUgraphNode node)
{
    if (node->operation.hold)
        free(node->operation.launch.params);
    if (node->child)
        softgpu_graph_drop(node->child);
    free(node->after);
    free(node);
}

/* Its operation's parameters and its child are copied. */
static bool node_fill(CUgraphNode node, const struct softgpu_operation *operation, CUgraph child)
{
    if (operation)
        node->operation = *operation;
    if (operation && operation->hold && operation->hold(&node->operation) != CUDA_SUCCESS) {
        node->operation.hold = NULL;
        return false;
    }
    return !child || cuGraphClone(&node->child, child) == CUDA_SUCCESS;
}

CUgraphNode softgpu_graph_add(CUgraph graph, const struct softgpu_nodes *after,
                              const struct softgpu_operation *operation, CUgraph child)
{
    CUgraphNode node = softgpu_realloc(NULL, sizeof *node);
    *node = (struct CUgraphNode_st){.index = graph->count, .after_count = after->count};
    node->after = softgpu_realloc(NULL, after->count * sizeof *node->after);
    for (size_t i = 0; i < after->count; ++i)
        node->after[i] = after->at[i]->index;
    graph->nodes = softgpu_realloc(graph->nodes, (graph->count + 1) * sizeof(CUgraphNode));
    if (!node_fill(node, operation, child)) {
        node_free(node);
        return NULL;
    }
    graph->nodes[graph->count++] = node;
    return node;
}

void softgpu_graph_drop(CUgraph graph)
{
    if (__atomic_sub_fetch(&graph->holders, 1, __ATOMIC_ACQ_REL))
        return;
    for (size_t i = 0; i < graph->count; ++i)
        node_free(graph->nodes[i]);
    free(graph->nodes);
    softgpu_references_drop(graph);
    softgpu_object_kill(graph);
}

CUresult cuGraphDestroy(CUgraph graph)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    softgpu_graph_drop(graph);
    return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *ret_nodes, size_t *count)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    for (size_t i = 0; ret_nodes && i < *count; ++i)
        ret_nodes[i] = i < graph->count ? graph->nodes[i] : NULL;
    *count = ret_nodes && *count < graph->count ? *count : graph->count;
    return CUDA_SUCCESS;
}

CUresult cuGraphAddChildGraphNode(CUgraphNode *ret_node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  CUgraph child)
{
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH) || !softgpu_object_is(child, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    *ret_node = softgpu_graph_add(graph, &(struct softgpu_nodes){(CUgraphNode *)after, count}, NULL, child);
    return *ret_node ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

/*
 * Copies the nodes of `from` behind those of `to`, its first ones behind `root` (or NULL), and its references. flat:
 * the nodes of a child come in its place, between two that do nothing.
 */
static bool copy_into(CUgraph to, const struct CUgraph_st *from, CUgraphNode root, bool flat)
{
    CUgraphNode *copies = softgpu_realloc(NULL, from->count * sizeof(CUgraphNode));
    bool complete = true;
    softgpu_references_copy(to, from);
    for (size_t i = 0; i < from->count && complete; ++i) {
        const CUgraphNode node = from->nodes[i];
        struct softgpu_nodes after = {0};
        for (size_t j = 0; j < node->after_count; ++j)
            softgpu_nodes_join(&after, &(struct softgpu_nodes){&copies[node->after[j]], 1});
        if (!node->after_count && root)
            softgpu_nodes_join(&after, &(struct softgpu_nodes){&root, 1});
        copies[i] = softgpu_graph_add(to, &after, &node->operation, flat ? NULL : node->child);
        complete = copies[i];
        if (complete && flat && node->child) {
            const size_t first = copies[i]->index;
            complete = copy_into(to, node->child, copies[i], true);
            softgpu_nodes_set(&after, &(struct softgpu_nodes){to->nodes + first, to->count - first});
            copies[i] = softgpu_graph_add(to, &after, NULL, NULL);
        }
        free(after.at);
    }
    free(copies);
    return complete;
}

static CUresult graph_copy(CUgraph *ret_copy, CUgraph graph, bool flat)
{
    CUgraph copy;
    if (!softgpu_object_is(graph, SOFTGPU_GRAPH))
        return CUDA_ERROR_INVALID_HANDLE;
    cuGraphCreate(&copy, 0);
    if (!copy_into(copy, graph, NULL, flat)) {
        softgpu_graph_drop(copy);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    *ret_copy = copy;
    return CUDA_SUCCESS;
}

CUresult cuGraphClone(CUgraph *ret_clone, CUgraph graph)
{
    return graph_copy(ret_clone, graph, false);
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *ret_exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    CUgraph copy;
    CUresult result = graph_copy(&copy, graph, true);
    if (result != CUDA_SUCCESS)
        return result;
    *ret_exec = softgpu_object_make(SOFTGPU_GRAPH_EXEC, sizeof **ret_exec);
    (*ret_exec)->graph = copy;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiate_v2(CUgraphExec *ret_exec, CUgraph graph, CUgraphNode *ret_node, char *log, size_t log_bytes)
{
    (void)ret_node, (void)log, (void)log_bytes;
    return cuGraphInstantiateWithFlags(ret_exec, graph, 0);
}

/* A node may get another kernel and other parameters, not other dependencies. */
static bool is_updatable(const struct CUgraph_st *a, const struct CUgraph_st *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; ++i) {
        const CUgraphNode one = a->nodes[i], other = b->nodes[i];
        same = one->operation.run == other->operation.run && one->after_count == other->after_count &&
               memcmp(one->after, other->after, one->after_count * sizeof *one->after) == 0;
    }
    return same;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *ret_info)
{
    CUgraph copy;
    if (!softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = graph_copy(&copy, graph, true);
    if (result != CUDA_SUCCESS)
        return result;
    memset(ret_info, 0, sizeof *ret_info);
    if (!is_updatable(exec->graph, copy)) {
        softgpu_graph_drop(copy);
        ret_info->result = CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }
    softgpu_graph_drop(exec->graph);
    exec->graph = copy;
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream handle)
{
    CUstream stream;
    if (!softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC))
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = softgpu_stream_ready(handle, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (stream->capture)
        return softgpu_capture_append(stream, NULL, exec->graph);
    result = softgpu_capture_implicit(stream);
    if (result == CUDA_SUCCESS && softgpu_order_is_random())
        return softgpu_order_graph(stream, exec);
    for (size_t i = 0; i < exec->graph->count && result == CUDA_SUCCESS; ++i) {
        struct softgpu_operation operation = exec->graph->nodes[i]->operation;
        operation.stream_id = stream->object.id;
        result = operation.run ? operation.run(&operation) : CUDA_SUCCESS;
    }
    return result;
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    return softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    if (!softgpu_object_is(exec, SOFTGPU_GRAPH_EXEC))
        return CUDA_ERROR_INVALID_HANDLE;
    softgpu_graph_drop(exec->graph);
    softgpu_object_kill(exec);
    return CUDA_SUCCESS;
}
