/* The last lines of a model; see model_log.h. */
#include "serving/model_log.h"

#include <stdlib.h>
#include <time.h>

void model_log_init(struct model_log *log)
{
    *log = (struct model_log){.count = 0};
    list_init(&log->lines);
}

/* Drops the oldest lines until no more than so much is left. */
static void cut(struct model_log *log, size_t lines, size_t bytes)
{
    list_each(link, &log->lines)
    {
        struct model_line *line = list_entry(link, struct model_line, link);
        if (log->count <= lines && log->bytes <= bytes)
            return;
        list_remove(link);
        log->count--;
        log->bytes -= line->size;
        free(line);
    }
}

void model_log_fini(struct model_log *log)
{
    cut(log, 0, 0);
}

void model_log_add(struct model_log *log, uint64_t version, enum log_level level, struct span text)
{
    struct timespec now;
    size_t size = text.size < MODEL_LOG_BYTES ? text.size : MODEL_LOG_BYTES;
    struct model_line *line = malloc(sizeof *line + size);
    if (!line)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    *line = (struct model_line){
        .number = ++log->last,
        .version = version,
        .time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        .level = level,
        .size = size,
    };
    if (size)
        memcpy(line->text, text.data, size);
    list_add(&log->lines, &line->link);
    log->count++;
    log->bytes += size;
    cut(log, MODEL_LOG_LINES, MODEL_LOG_BYTES);
}

const struct model_line *model_log_after(const struct model_log *log, uint64_t number)
{
    if (number == log->last)
        return NULL;
    if (number > log->last) /* of a model of that name that is gone */
        number = 0;
    /* From the newest back: who follows has read nearly all. */
    const struct list_link *at = &log->lines.head;
    while (at->previous != &log->lines.head &&
           list_entry(at->previous, struct model_line, link)->number > number)
        at = at->previous;
    return at == &log->lines.head ? NULL : list_entry(at, struct model_line, link);
}

uint64_t model_log_tail(const struct model_log *log, uint64_t lines)
{
    return log->last > lines ? log->last - lines : 0;
}
