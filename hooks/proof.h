/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a kernel have the arguments that a user's row says? Their number and sizes must be what the driver says of it
 * (CUDA 12.4 and later): before that no argument is read. A row for which the answer is no is refused. Thread-safe.
 */
#ifndef FUSELN_PROOF_H
#define FUSELN_PROOF_H

#include "base/target.h"
#include "hooks/names.h"

/* Asked of a CUfunction, or of a CUkernel. */
bool fuseln_proof_of_handle(const struct fuseln_target *target, const void *handle, bool is_kernel);

/*
 * Asked of a kernel that a shared runtime of this node has just launched on stream for this caller, without an error:
 * its target, which is not proven. OK: now it is. FAILED: its row is refused. Else why the next launch must ask again.
 * CUDA's last error is kept.
 */
enum fuseln_verdict fuseln_proof_of_launched(const struct fuseln_target *target, void *stream, enum fuseln_node node,
                                             const void *caller);

#endif
