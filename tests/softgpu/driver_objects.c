/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects, thread state, messages and the exit status of the stand-in driver (driver_objects.h).
 */
#include "driver_objects.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device_memory.h"

enum { EXIT_STATUS_ERROR = 86 };

static pthread_mutex_t object_lock = PTHREAD_MUTEX_INITIALIZER;
static struct softgpu_object *objects;
static unsigned long long object_last_id;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static atomic_uint error_count;

void *softgpu_realloc(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes ? bytes : 1);
    if (!grown)
        abort();
    return grown;
}

/* A dead object of the same size is used again, as drivers do: a handle alone identifies nothing. */
static struct softgpu_object *object_reuse(size_t bytes)
{
    struct softgpu_object *object = objects;
    while (object && !(object->kind == SOFTGPU_DEAD && object->bytes == bytes))
        object = object->next;
    return object;
}

void *softgpu_object_make(enum softgpu_kind kind, size_t bytes)
{
    pthread_mutex_lock(&object_lock);
    struct softgpu_object *object = object_reuse(bytes);
    if (!object) {
        object = softgpu_realloc(NULL, bytes);
        object->next = objects;
        objects = object;
    }
    struct softgpu_object *next = object->next;
    memset(object, 0, bytes);
    *object = (struct softgpu_object){kind, bytes, ++object_last_id, next};
    pthread_mutex_unlock(&object_lock);
    return object;
}

void softgpu_object_kill(void *object)
{
    pthread_mutex_lock(&object_lock);
    ((struct softgpu_object *)object)->kind = SOFTGPU_DEAD;
    pthread_mutex_unlock(&object_lock);
}

bool softgpu_object_is(const void *object, enum softgpu_kind kind)
{
    return object && ((uintptr_t)object & 7) == 0 && ((const struct softgpu_object *)object)->kind == kind;
}

void *softgpu_object_next(const void *after, enum softgpu_kind kind)
{
    pthread_mutex_lock(&object_lock);
    struct softgpu_object *object = after ? ((const struct softgpu_object *)after)->next : objects;
    while (object && object->kind != kind)
        object = object->next;
    pthread_mutex_unlock(&object_lock);
    return object;
}

static void thread_free(void *thread)
{
    struct softgpu_thread *ended = thread;
    for (int i = 0; i < SOFTGPU_CONTEXT_DEPTH_MAX && ended->default_streams[i]; ++i)
        softgpu_object_kill(ended->default_streams[i]);
    free(ended);
}

static void thread_key_make(void)
{
    pthread_key_create(&thread_key, thread_free);
}

struct softgpu_thread *softgpu_thread_get(void)
{
    pthread_once(&thread_once, thread_key_make);
    struct softgpu_thread *thread = pthread_getspecific(thread_key);
    if (!thread) {
        thread = softgpu_realloc(NULL, sizeof *thread);
        memset(thread, 0, sizeof *thread);
        pthread_setspecific(thread_key, thread);
    }
    return thread;
}

static int number_from_environment(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : fallback;
}

const struct softgpu_facts *softgpu_facts_get(void)
{
    static struct softgpu_facts facts;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!facts.device_count) {
        const char *cc = getenv("SOFTGPU_CC");
        if (!cc || sscanf(cc, "%d.%d", &facts.cc_major, &facts.cc_minor) != 2) {
            facts.cc_major = 9;
            facts.cc_minor = 0;
        }
        facts.sm_count = number_from_environment("SOFTGPU_SMS", 132);
        facts.driver_version = number_from_environment("SOFTGPU_DRIVER_VERSION", 13020);
        facts.device_count = number_from_environment("SOFTGPU_DEVICES", 1);
    }
    pthread_mutex_unlock(&lock);
    return &facts;
}

static void message_write(const char *format, va_list args)
{
    char text[1024];
    int used = snprintf(text, sizeof text, "softgpu: ");
    used += vsnprintf(text + used, sizeof text - (size_t)used - 1, format, args);
    if (used > (int)sizeof text - 2)
        used = (int)sizeof text - 2;
    text[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, text, (size_t)used);
    (void)written;
}

void softgpu_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_write(format, args);
    va_end(args);
}

void softgpu_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_write(format, args);
    va_end(args);
    atomic_fetch_add(&error_count, 1);
}

unsigned softgpu_errors_take(void)
{
    return atomic_exchange(&error_count, 0);
}

/* Errors that the program did not see itself (a launch that fails open hides them) show in its exit status. */
__attribute__((destructor)) static void process_end(void)
{
    softgpu_memory_check("at exit");
    unsigned count = atomic_load(&error_count);
    if (!count)
        return;
    softgpu_note("%u error(s), see above: exit status %d", count, EXIT_STATUS_ERROR);
    fflush(NULL);
    _exit(EXIT_STATUS_ERROR);
}
