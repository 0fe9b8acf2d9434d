/* What was said lately by and about a model: the last lines, for who asks for them. Every line goes
 * into the server's log too; here it stays in memory, bounded. For one thread. */
#ifndef TENSORD_SERVING_MODEL_LOG_H
#define TENSORD_SERVING_MODEL_LOG_H

#include "base/list.h"
#include "base/span.h"
#include "telemetry/log.h"

enum { MODEL_LOG_LINES = 1000, MODEL_LOG_BYTES = 256 << 10 };

struct model_line {
    struct list_link link;
    uint64_t number; /* from 1 on, of all lines of the model */
    uint64_t version;
    uint64_t time_ms; /* since the epoch */
    enum log_level level;
    size_t size;
    char text[]; /* UTF-8, or what a worker takes for it */
};

struct model_log {
    struct list lines; /* oldest first; struct model_line */
    size_t count, bytes;
    uint64_t last; /* number of the newest line; 0: there was none */
};

/* Starts empty. */
void model_log_init(struct model_log *log);
void model_log_fini(struct model_log *log);

/* Keeps a line; the oldest make room. Without memory it is left out. */
void model_log_add(struct model_log *log, uint64_t version, enum log_level level, struct span line);

/* The first line that is kept with a number above `number`, or NULL; the very first when there was
 * no line of that number yet: it was another log's. Valid until the next add. */
const struct model_line *model_log_after(const struct model_log *log, uint64_t number);

/* The number after which the last `lines` lines come. */
uint64_t model_log_tail(const struct model_log *log, uint64_t lines);

#endif
