/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's settings, one row per environment variable. They are read once, at the first use. A bad value causes one
 * warning, which names what is allowed, and the default stays. README's table is made from these rows.
 * Thread-safe; no allocation. Under AT_SECURE every variable counts as unset.
 */
#ifndef FUSELN_CONFIG_H
#define FUSELN_CONFIG_H

#include <stdatomic.h>

#include "base/target.h"

/* X(NAME without FUSELN_, default as text, what is allowed, README sentence); base/config.c has parse_NAME */
// clang-format off
#define FUSELN_SPACED(id, name) " " name
#define FUSELN_VARIABLES(X) \
    X(MODE,         "replace", "one of" FUSELN_MODES(FUSELN_SPACED),                                                     \
                               "`replace`; `observe` (recognise and count, launch the originals); `verify` (launch the " \
                               "originals, run ours beside them into memory of our own, and check the results on the device); " \
                               "`measure` (launch ours and the originals in turn, timed by events; after 20 pairs the faster one stays); `off`") \
    X(REPORT,       "",        "at most 1023 bytes",                                                                     \
                               "where the substitution report goes: a path, `stderr` or `stdout`; JSON if it ends in "   \
                               "`.json`, else text. `%p` pid, `%h` host, `%r` rank, `%e` executable, `%q{VAR}` a variable, `%%` a percent sign") \
    X(REPORT_EVERY, "30",      "whole seconds, 1 to 86400", "seconds between snapshots of the report")                   \
    X(CHECK,        "3",       "launches, 0 to 1000000",                                                                 \
                               "how many launches of a layer norm to verify before it is replaced, on an unknown build; 0: none") \
    X(TRACE,        "",        "at most 1023 bytes", "where one JSON line for every substitution goes (path template as above)") \
    X(LOG,          "warn",    "error warn info debug, then :path if wanted",                                            \
                               "`error`, `warn`, `info` (first launch, each new site) or `debug` (every decline); `:path` after it sends the log to a file") \
    X(SKIP,         "",        "forward backward moments apply dx dgamma rms f32 f16 bf16 f64 pairs cols=N build=ID "    \
                               "target/name, with commas",                                                               \
                               "comma list of what is never replaced: an op (`forward`, `backward`, `moments`, `apply`, `dx`, `dgamma`, `rms`), a dtype, a target name, `cols=768`, `build=ID`; `pairs` keeps dX and the gradients of gamma and beta apart") \
    X(ONLY,         "",        "names of at most 255 bytes", "comma list of the executables (names or shell globs) in which fuseln acts at all") \
    X(HOOKS,        "runtime,driver", "runtime driver, with a comma",                                                    \
                               "comma list of the boundaries at which launches are seen: `runtime` (a shared CUDA runtime), `driver` (everything else)") \
    X(TARGETS,      "",        "at most 1023 bytes",                                                                     \
                               "a text file of rows for kernels of your own programs (hooks/targets/README.md): which argument is what. Their first launches are always checked; path template as above") \
    X(SCRATCH,      "32M",     "bytes, with K, M or G if wanted", "device memory for partial sums and for verifying, per device")
// clang-format on

enum fuseln_log_level { FUSELN_LOG_ERROR, FUSELN_LOG_WARN, FUSELN_LOG_INFO, FUSELN_LOG_DEBUG };

struct fuseln_config {
    enum fuseln_mode mode; /* also OFF if FUSELN_ONLY does not name this executable */
    char report[1024];     /* path template as given; "" unset */
    unsigned report_every_s;
    unsigned check; /* launches checked before a site of an unknown build is replaced */
    char trace[1024];
    enum fuseln_log_level log_level;
    char log_path[1024]; /* "" means stderr */
    char skip[1024];
    unsigned hooks;            /* bit b set: enum fuseln_boundary b is hooked */
    enum fuseln_pairing pairs; /* PAIRED; or why this process forms no pairs: SKIPPED or UNSEEN */
    char targets[1024];        /* path template of the user's rows; "" unset */
    size_t scratch_bytes;
    char folder[4096];   /* working directory when the settings were read: relative paths start there */
    char warnings[2048]; /* about bad values: lines, each ended by \n */
};

extern _Atomic(const struct fuseln_config *) fuseln_config_published; /* NULL until they have been read */
const struct fuseln_config *fuseln_config_read(void);
/* The settings of this process, never NULL. Warnings wait for fuseln_config_complain: a process without CUDA stays
 * silent. */
static inline const struct fuseln_config *fuseln_config_get(void)
{
    const struct fuseln_config *config = atomic_load_explicit(&fuseln_config_published, memory_order_acquire);
    return __builtin_expect(config != NULL, 1) ? config : fuseln_config_read();
}
/* Calls say once for each thing that is wrong with the settings, with a line that has no end-of-line. */
void fuseln_config_complain(void (*say)(const char *text, int length));

/* Is this boundary hooked? None is if fuseln is off. */
static inline bool fuseln_config_hooks(enum fuseln_boundary boundary)
{
    const struct fuseln_config *config = fuseln_config_get();
    return config->mode != FUSELN_MODE_OFF && config->hooks >> boundary & 1;
}

/* Does the list, a value of FUSELN_ONLY, name a program with these base names of its executable and its argv[0]? */
bool fuseln_config_names(const char *list, const char *executable, const char *invoked);

/* Does FUSELN_SKIP name this target, or this call of it? A pure function of its arguments. */
bool fuseln_config_skips(const struct fuseln_config *config, const struct fuseln_target *target,
                         const struct fuseln_call *call);

#endif
