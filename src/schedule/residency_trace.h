/* What residency.h is told and decides, one line for each, so that a run can be looked at and
 * decided again (residency_replay.c). A line: time in ns, a word, the claim's id, then numbers as
 * the words' table in residency_trace.c has them. Pure. */
#ifndef TENSORD_SCHEDULE_RESIDENCY_TRACE_H
#define TENSORD_SCHEDULE_RESIDENCY_TRACE_H

#include "base/span.h"

enum { RESIDENCY_MAX_VALUES = 11, RESIDENCY_LINE_BYTES = 320 };

enum residency_event_kind {
    RESIDENCY_ON_BUDGET, /* place, bytes; id 0 */
    RESIDENCY_ON_LIMIT,  /* wait_limit_ns; id 0 */
    RESIDENCY_ON_ADD,    /* model, device, pinned, idle_after_ns, files_bytes, declared_bytes,
                            figures: loading.bytes, .device_bytes, loaded.bytes, .device_bytes,
                            load_ns */
    RESIDENCY_ON_REMOVE,
    RESIDENCY_ON_ASK,      /* kind */
    RESIDENCY_ON_LOADED,   /* now.bytes, .device_bytes, most.bytes, .device_bytes */
    RESIDENCY_ON_MEASURED, /* now.bytes, .device_bytes */
    RESIDENCY_ON_GROW,     /* always */
    RESIDENCY_ON_SHRINK,
    RESIDENCY_ON_LEAVE,
    RESIDENCY_ON_ENDED,
    RESIDENCY_ON_USE,
    RESIDENCY_ON_REST,
    RESIDENCY_ON_LOOK,     /* residency_next was called; id 0 */
    RESIDENCY_ON_DECISION, /* and has decided: verdict, reason */
    RESIDENCY_EVENT_KINDS
};

struct residency_event {
    uint64_t time_ns;
    enum residency_event_kind kind;
    uint64_t id; /* of the claim */
    uint64_t values[RESIDENCY_MAX_VALUES];
};

/* How many values an event of this kind has. */
unsigned residency_event_values(enum residency_event_kind kind);

/* Writes the event as a line, without its end. Returns its size. */
size_t residency_event_write(const struct residency_event *event, char to[RESIDENCY_LINE_BYTES]);

/* Reads one. False when it is none, in exactly that form. */
bool residency_event_read(struct span line, struct residency_event *ret_event);

#endif
