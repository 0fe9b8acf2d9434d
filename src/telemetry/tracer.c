/* Records of traced requests that wait; see tracer.h. */
#include "telemetry/tracer.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

void tracer_init(struct tracer *tracer, const struct trace_setting *setting, bool follow)
{
    const struct trace_setting none = {true, true, true, false, 1, -1};
    *tracer = (struct tracer){.setting = setting ? *setting : none,
                              .starting = setting ? *setting : none,
                              .available = setting != NULL,
                              .follow = follow};
    buf_init(&tracer->waiting, TRACER_BYTES);
}

void tracer_fini(struct tracer *tracer)
{
    buf_fini(&tracer->waiting);
}

void tracer_decide(struct tracer *tracer, struct trace_setting *own, struct trace_context *context)
{
    if (tracer->available)
        trace_setting_decide(&tracer->setting, own, tracer->follow, context);
    else
        context->decided = true;
}

uint64_t tracer_epoch_ns(uint64_t monotonic_ns, uint64_t now_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t epoch_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
    return epoch_ns - (now_ns - monotonic_ns);
}

void tracer_add(struct tracer *tracer, const struct span_record *record)
{
    bool first = tracer->waiting.size == 0;
    if (!span_record_write(&tracer->waiting, record)) {
        tracer->waiting.failed = false;
        metrics.spans[SPAN_DROPPED]++;
        return;
    }
    metrics.spans[SPAN_QUEUED]++;
    if (first && tracer->wake)
        tracer->wake(tracer->context);
}

/* Forgets the records that have left whole; the start of the next may have, too. */
static void consume(struct tracer *tracer, size_t count)
{
    struct span rest = buf_span(&tracer->waiting);
    size_t left = tracer->written + count, whole = 0, size;
    struct span_record record;
    bool broken;
    while (span_record_read(rest, &record, &size, &broken) && size <= left) {
        rest = span_after(rest, size);
        left -= size;
        whole += size;
    }
    buf_consume(&tracer->waiting, whole);
    tracer->written = left;
}

bool tracer_flush(struct tracer *tracer, int fd)
{
    while (tracer->waiting.size) {
        struct span rest = span_after(buf_span(&tracer->waiting), tracer->written);
        ssize_t sent = send(fd, rest.data, rest.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM;
        consume(tracer, (size_t)sent);
    }
    return true;
}

void tracer_restart(struct tracer *tracer)
{
    struct span_record record;
    size_t size;
    bool broken;
    if (!tracer->written)
        return;
    if (span_record_read(buf_span(&tracer->waiting), &record, &size, &broken))
        buf_consume(&tracer->waiting, size);
    tracer->written = 0;
    metrics.spans[SPAN_LOST]++;
}
