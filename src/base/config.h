/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's settings: one row per environment variable (name, default, what it means). Read once, lazily, at the
 * first use; a bad value warns once, names what is allowed, and keeps the default. README's table is these rows.
 * Thread-safe; allocates nothing. Under AT_SECURE every variable counts as unset.
 */
#ifndef FUSELN_CONFIG_H
#define FUSELN_CONFIG_H

#include <stdatomic.h>

#include "base/target.h"

/* X(ENUM, text) */
#define FUSELN_MODES(X) \
    X(REPLACE, "replace") X(OBSERVE, "observe") X(VERIFY, "verify") X(MEASURE, "measure") X(OFF, "off")

enum fuseln_mode {
#define X(id, text) FUSELN_MODE_##id,
    FUSELN_MODES(X)
#undef X
};

/* X(NAME without FUSELN_, default as text, README sentence) */
// clang-format off
#define FUSELN_VARIABLES(X) \
    X(MODE,         "replace", "`replace`; `observe` (recognise and count, launch the originals); `verify` (launch the "   \
                               "originals; ours run beside them, into memory of ours, and both are compared on the device); " \
                               "`measure` (ours and the originals in turn, timed by events; after 20 pairs the faster one stays); `off`") \
    X(REPORT,       "",        "where the substitution report goes: a path, `stderr` or `stdout`; JSON if it ends in "     \
                               "`.json`, else text. `%p` pid, `%h` host, `%r` rank, `%e` executable, `%q{VAR}` a variable, `%%` a percent sign") \
    X(REPORT_EVERY, "30",      "seconds between snapshots of the report")                                                  \
    X(CHECK,        "3",       "first launches of a layer norm that are compared as in `verify` before it is replaced, on a build that is not known; 0: none") \
    X(TRACE,        "",        "one JSON line for every substitution goes here (path template as above)")                 \
    X(LOG,          "warn",    "`error`, `warn`, `info` (first launch, each new site) or `debug` (every decline); `:path` after it sends it to a file") \
    X(SKIP,         "",        "comma list never replaced: an op (`forward`, `backward`, `moments`, `apply`, `dx`, `dgamma`, `rms`), a dtype, a target name, `cols=768`, `build=ID`; `pairs`: dX and the gradients of gamma and beta apart") \
    X(ONLY,         "",        "executable names (shell globs, comma list) in which fuseln acts at all")                    \
    X(HOOKS,        "runtime,driver", "comma list of the boundaries at which launches are seen: `runtime` (a shared CUDA runtime), `driver` (everything else)") \
    X(SCRATCH,      "32M",     "device memory for partial sums and for comparing, per device")
// clang-format on

enum fuseln_log_level { FUSELN_LOG_ERROR, FUSELN_LOG_WARN, FUSELN_LOG_INFO, FUSELN_LOG_DEBUG };

struct fuseln_config {
    enum fuseln_mode mode; /* OFF also where FUSELN_ONLY does not name this executable */
    char report[1024];     /* path template as given; "" unset */
    unsigned report_every_s;
    unsigned check; /* launches of a site of an unknown build that are checked before it is replaced */
    char trace[1024];
    enum fuseln_log_level log_level;
    char log_path[1024]; /* "" means stderr */
    char skip[1024];
    bool skip_pairs;
    unsigned hooks;            /* bit b set: enum fuseln_boundary b is hooked */
    enum fuseln_pairing pairs; /* PAIRED; else why there are none here: SKIPPED or UNSEEN */
    size_t scratch_bytes;
    char folder[1024];   /* working directory when the settings were read: relative paths start there */
    char warnings[2048]; /* of values that are not valid: lines, each ended by \n */
};

/* The settings of this process. Never NULL. Bad values are held back until somebody asks for them: a process without
 * CUDA stays silent. */
extern _Atomic(const struct fuseln_config *) fuseln_config_published; /* NULL until they were read */
const struct fuseln_config *fuseln_config_read(void);
static inline const struct fuseln_config *fuseln_config_get(void)
{
    const struct fuseln_config *config = atomic_load_explicit(&fuseln_config_published, memory_order_acquire);
    return __builtin_expect(config != NULL, 1) ? config : fuseln_config_read();
}
/* One call of say for each thing that is wrong with the settings: a line without its end. */
void fuseln_config_complain(void (*say)(const char *text, int length));

/* Is this boundary hooked in this process? Not where fuseln is off. */
static inline bool fuseln_config_hooks(enum fuseln_boundary boundary)
{
    const struct fuseln_config *config = fuseln_config_get();
    return config->mode != FUSELN_MODE_OFF && config->hooks >> boundary & 1;
}

/* Is this target, at this width, named in FUSELN_SKIP? Pure in its arguments and the settings; no allocation. */
bool fuseln_config_skips(const struct fuseln_config *config, const struct fuseln_target *target, int64_t cols);

#endif
