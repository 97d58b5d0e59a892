/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace (report.h): one JSON line and one write(2) for each substitution, in append mode, so that threads and
 * processes can share a file.
 */
#include "report/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

static struct fuseln_sink sink = {.lost_words = {"{\"lost\":", "}"}, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void write_dim(struct fuseln_json *json, const char *key, const unsigned dim[3])
{
    fuseln_json_open(json, key, '[');
    for (int i = 0; i < 3; i++)
        fuseln_json_integer(json, NULL, dim[i]);
    fuseln_json_close(json, ']');
}

static void write_event(struct fuseln_json *json, const struct fuseln_pass *pass)
{
    const struct fuseln_launch *launch = pass->launch;
    const struct fuseln_site_key *key = &pass->site->key;
    char stream[24];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(stream, sizeof stream, "0x%llx", (unsigned long long)(uintptr_t)launch->stream);
    fuseln_json_open(json, NULL, '{');
    fuseln_json_seconds(json, "time", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    fuseln_json_integer(json, "pid", getpid());
    fuseln_json_integer(json, "tid", syscall(SYS_gettid));
    fuseln_json_string(json, "target", key->target ? key->target->name : "other");
    fuseln_json_string(json, "kernel", fuseln_job_kernel(&pass->job));
    if (key->target) {
        fuseln_json_integer(json, "cols", key->cols);
        fuseln_json_integer(json, "device", key->device);
    }
    fuseln_json_integer(json, "rows", pass->call.rows);
    fuseln_json_string(json, "stream", stream);
    write_dim(json, "grid", launch->grid);
    write_dim(json, "block", launch->block);
    fuseln_json_close(json, '}');
}

void fuseln_trace(const struct fuseln_pass *pass)
{
    const char *path = fuseln_config_get()->trace;
    int saved = errno;
    char line[1024];
    struct fuseln_out out = {.fd = -1, .buffer = line, .capacity = sizeof line};
    struct fuseln_json json = {.out = &out};
    write_event(&json, pass);
    fuseln_out_text(&out, "\n");
    int error = out.error ? out.error : fuseln_sink_write(&sink, path, line, out.length);
    if (error)
        pr_warn("FUSELN_TRACE=%s cannot be written: %s; lines of it are lost", path,
                error == -EAGAIN ? "nobody reads it" : strerror(-error));
    errno = saved;
}

void fuseln_trace_after_fork(void)
{
    fuseln_sink_after_fork(&sink);
}
