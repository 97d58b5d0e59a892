/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a launch as the host made it (grid, block, argument pointers) to a struct fuseln_call. Pure; no allocation.
 */
#ifndef FUSELN_DECODE_H
#define FUSELN_DECODE_H

#include "base/target.h"

/* One launch of a recognised kernel, as a hook saw it. */
struct fuseln_launch {
    const struct fuseln_target *target;
    unsigned grid[3], block[3];
    void *stream;                 /* CUstream; 0 legacy default, 2 per-thread default */
    void **args;                  /* args[i] points to the value of parameter i */
    enum fuseln_verdict declined; /* OK, or why the hook already knows that the original must run */
    int runtime_device; /* the runtime's current device; -1 where it cannot tell, -2 at the driver's boundary */
    enum fuseln_boundary boundary;
};

/*
 * Read the arguments. Returns OK, NULLPTR (the host gave no address for an argument), GEOMETRY (the grid is not the one
 * that the target's rows and cols demand: then the meaning of the arguments is not proven) or REQUIRE (an argument is
 * not what the target's row demands). *ret_call means nothing unless OK or REQUIRE. Every target has cols; where no
 * argument holds the rows, the grid does; where none holds eps, the row does.
 */
enum fuseln_verdict fuseln_decode(const struct fuseln_launch *launch, struct fuseln_call *ret_call);

#endif
