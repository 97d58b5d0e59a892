/*
 * From a launch as the host made it (grid, block, argument pointers) to a struct fuseln_call. Pure; no allocation.
 */
#ifndef FUSELN_DECODE_H
#define FUSELN_DECODE_H

#include "registry.h"

/* One launch of a recognised kernel, as a hook saw it. */
struct fuseln_launch {
    const struct fuseln_target *target;
    unsigned grid[3], block[3];
    void *stream;                 /* CUstream; 0 legacy default, 2 per-thread default */
    void **args;                  /* args[i] points to the value of parameter i */
    enum fuseln_verdict declined; /* OK, or why the hook already knows that the original must run */
    int runtime_device;           /* the runtime's current device; -1 where the boundary has none */
    int boundary;                 /* enum fuseln_boundary */
};

/* Complete a layout whose roles and types are known. Called once per target, at registration. */
void fuseln_decode_prepare(struct fuseln_layout *layout);

/*
 * Read the arguments. Returns OK, NULLPTR (no argument array), or GEOMETRY (the grid is not the one that the
 * target's rows and cols demand: then the meaning of the arguments is not proven). *ret_call means nothing unless OK.
 */
enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call);

/* Which pointers of a decoded call are null, as a set of roles: bit r for the argument of enum fuseln_role r. */
unsigned fuseln_decode_null_roles(const struct fuseln_layout *layout, const struct fuseln_call *call);

#endif
