/* The log; see log.h. What the line looks like is said in log_line.c, how it is written in
 * log_sink.c, and when it is left out in log_guard.c. */
#include "telemetry/log.h"

#include "telemetry/log_guard.h"
#include "telemetry/log_line.h"
#include "telemetry/log_sink.h"
#include "telemetry/metrics.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert((int)METRICS_LOG_LEVELS == (int)LOG_LEVEL_COUNT, "each level is counted");

static bool enabled[LOG_LEVEL_COUNT] = {false, true, true, true};
static bool as_json, in_colour;

/* What follows is for who holds the lock: lines come from the loop, mostly. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_sink sink = {.fd = STDERR_FILENO};
static bool opened;
static struct log_guard guard;
static uint64_t dropped; /* lines, since the last that was written */

void log_init(enum log_level lowest, bool json, bool colour)
{
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        enabled[level] = level >= (int)lowest;
    as_json = json;
    in_colour = colour;
    if (!opened)
        log_sink_open(&sink, STDERR_FILENO);
    opened = true;
}

bool log_level_enabled(enum log_level level)
{
    return __atomic_load_n(&enabled[level], __ATOMIC_RELAXED);
}

void log_level_enable(enum log_level level, bool on)
{
    __atomic_store_n(&enabled[level], on, __ATOMIC_RELAXED);
}

/* FNV-1a of the part, and where the format lies. */
static uint64_t key_of(const char *part, const void *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = part; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    hash = (hash ^ (uintptr_t)key) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

static bool write_line(const struct log_line *line)
{
    char text[LOG_LINE_BYTES];
    size_t size = log_line_write(line, as_json, in_colour, text);
    if (!log_sink_write(&sink, text, size))
        return false;
    count(&metrics.log_lines[line->level], 1);
    return true;
}

/* A line of the log about itself. */
static bool write_note(const struct log_line *about, uint64_t lines, const char *what)
{
    char text[128];
    struct log_line note = {.level = LOG_WARNING, .time = about->time, .part = "log"};
    snprintf(text, sizeof text, "%llu lines %s", (unsigned long long)lines, what);
    note.message = span_of(text);
    return write_line(&note);
}

static void write_or_drop(const struct log_line *line)
{
    if (dropped && write_note(line, dropped, "were dropped: standard error took no more"))
        dropped = 0;
    if (dropped || !write_line(line)) {
        dropped++;
        count(&metrics.log_dropped, 1);
    }
}

/* Whether the line is to be written, after what is to be said of those that were left out. */
static bool admit(const struct log_line *line, const void *key)
{
    struct timespec now;
    uint32_t omitted;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (!log_guard_admit(&guard, key_of(line->part, key), now.tv_sec, &omitted)) {
        count(&metrics.limit_hits[LIMIT_log_rate], 1);
        return false;
    }
    if (omitted)
        write_note(line, omitted, "like the next were left out");
    return true;
}

static void write_message(struct log_line *line, const void *key, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_message(struct log_line *line, const void *key, const char *format, va_list args)
{
    char message[LOG_LINE_BYTES];
    int size = vsnprintf(message, sizeof message, format, args);
    size_t most = sizeof message - 1;
    line->message = (struct span){message, size < 0              ? 0
                                           : (size_t)size < most ? (size_t)size
                                                                 : most};
    clock_gettime(CLOCK_REALTIME, &line->time);
    pthread_mutex_lock(&lock);
    if (!key || admit(line, key))
        write_or_drop(line);
    pthread_mutex_unlock(&lock);
}

void log_write(enum log_level level, const char *part, const char *format, ...)
{
    struct log_line line = {.level = level, .part = part};
    if (!log_level_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    write_message(&line, format, format, args);
    va_end(args);
}

void log_write_fields(enum log_level level, const char *part, const void *key,
                      const struct log_field *fields, size_t field_count, const char *format, ...)
{
    struct log_line line = {
        .level = level, .part = part, .fields = fields, .field_count = field_count};
    if (!log_level_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    write_message(&line, key, format, args);
    va_end(args);
}
