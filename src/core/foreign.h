/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign norms: kernels that are layer or RMS norms by their names and that no row of hooks/targets describes, such as
 * torch.compile's. They are never replaced, only counted by name, so that the report can say what ran. Static storage,
 * valid when zeroed; counting is lock-free.
 */
#ifndef FUSELN_FOREIGN_H
#define FUSELN_FOREIGN_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { FUSELN_FOREIGN_MAX = 256 };

struct fuseln_foreign {
    const char *maker; /* "inductor", "quack" or "other" */
    char name[160];    /* of the kernel, cut where it is longer */
    _Atomic uint64_t launches;
};

/* The entry of this name, made at its first look-up; names that find no room share one, whose name says so.
 * maker: a string that stays. Called with fuseln_core_mutex held. */
struct fuseln_foreign *fuseln_foreign_get(const char *name, const char *maker);
/* All entries in the order of their look-up, at most FUSELN_FOREIGN_MAX + 1; NULL past the end. */
const struct fuseln_foreign *fuseln_foreign_at(size_t index);
void fuseln_foreign_after_fork(void); /* in the child: nothing was launched. Async-signal-safe */

#endif
