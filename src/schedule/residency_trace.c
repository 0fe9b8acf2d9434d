/* Events of residency as lines of text; see residency_trace.h. */
#include "schedule/residency_trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct event_row {
    const char *word;
    unsigned values;
} rows[RESIDENCY_EVENT_KINDS] = {
    [RESIDENCY_ON_BUDGET] = {"budget", 2}, [RESIDENCY_ON_LIMIT] = {"limit", 1},
    [RESIDENCY_ON_ADD] = {"add", 11},      [RESIDENCY_ON_REMOVE] = {"remove", 0},
    [RESIDENCY_ON_ASK] = {"ask", 1},       [RESIDENCY_ON_LOADED] = {"loaded", 4},
    [RESIDENCY_ON_MEASURED] = {"size", 2}, [RESIDENCY_ON_GROW] = {"grow", 1},
    [RESIDENCY_ON_SHRINK] = {"shrink", 0}, [RESIDENCY_ON_LEAVE] = {"leave", 0},
    [RESIDENCY_ON_ENDED] = {"ended", 0},   [RESIDENCY_ON_USE] = {"use", 0},
    [RESIDENCY_ON_REST] = {"rest", 0},     [RESIDENCY_ON_LOOK] = {"look", 0},
    [RESIDENCY_ON_DECISION] = {"do", 2},
};

unsigned residency_event_values(enum residency_event_kind kind)
{
    return rows[kind].values;
}

size_t residency_event_write(const struct residency_event *event, char to[RESIDENCY_LINE_BYTES])
{
    const struct event_row *row = &rows[event->kind];
    int size =
        snprintf(to, RESIDENCY_LINE_BYTES, "%llu %s %llu", (unsigned long long)event->time_ns,
                 row->word, (unsigned long long)event->id);
    for (unsigned i = 0; i < row->values; i++)
        size += snprintf(to + size, RESIDENCY_LINE_BYTES - (size_t)size, " %llu",
                         (unsigned long long)event->values[i]);
    assert(size > 0 && size < RESIDENCY_LINE_BYTES); /* 13 numbers of 20 digits, a word */
    return (size_t)size;
}

static bool read_kind(struct span word, enum residency_event_kind *ret_kind)
{
    for (int i = 0; i < RESIDENCY_EVENT_KINDS; i++) {
        if (span_equal(word, span_of(rows[i].word))) {
            *ret_kind = (enum residency_event_kind)i;
            return true;
        }
    }
    return false;
}

bool residency_event_read(struct span line, struct residency_event *ret_event)
{
    struct residency_event event = {.time_ns = 0};
    if (!span_to_u64(span_split(&line, ' '), &event.time_ns) || !line.data ||
        !read_kind(span_split(&line, ' '), &event.kind) || !line.data ||
        !span_to_u64(span_split(&line, ' '), &event.id))
        return false;
    for (unsigned i = 0; i < rows[event.kind].values; i++)
        if (!line.data || !span_to_u64(span_split(&line, ' '), &event.values[i]))
            return false;
    if (line.data)
        return false;
    *ret_event = event;
    return true;
}
