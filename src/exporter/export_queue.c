/* What is posted when; see export_queue.h. */
#include "exporter/export_queue.h"

#include "base/clock.h"
#include "telemetry/span_record.h"

#include <assert.h>

void export_queue_init(struct export_queue *queue, uint64_t delay_ms, uint64_t batch)
{
    *queue = (struct export_queue){.delay_ms = delay_ms, .batch = batch ? batch : 1};
    buf_init(&queue->records, EXPORT_QUEUE_BYTES);
}

void export_queue_fini(struct export_queue *queue)
{
    buf_fini(&queue->records);
}

struct room export_queue_room(struct export_queue *queue)
{
    if (queue->records.size + EXPORT_READ_BYTES > EXPORT_QUEUE_BYTES)
        return (struct room){NULL, 0};
    char *data = buf_reserve(&queue->records, EXPORT_READ_BYTES);
    return (struct room){data, data ? EXPORT_READ_BYTES : 0};
}

bool export_queue_received(struct export_queue *queue, size_t count, uint64_t now_ns)
{
    struct span_record record;
    size_t size;
    bool broken;
    queue->records.size += count;
    struct span rest = span_after(buf_span(&queue->records), queue->counted_bytes);
    while (span_record_read(rest, &record, &size, &broken)) {
        if (queue->count++ == queue->sending_count)
            queue->first_ns = now_ns;
        queue->counted_bytes += size;
        rest = span_after(rest, size);
    }
    return !broken;
}

uint64_t export_queue_due_ns(const struct export_queue *queue)
{
    if (queue->sending_bytes || queue->count == 0)
        return CLOCK_NEVER;
    if (queue->retry_ns)
        return queue->retry_ns;
    if (queue->count >= queue->batch || queue->hurried)
        return 0;
    return queue->first_ns + queue->delay_ms * CLOCK_NS_PER_MS;
}

void export_queue_begin(struct export_queue *queue, size_t bytes, size_t count)
{
    assert(!queue->sending_bytes && bytes && bytes <= queue->counted_bytes &&
           count <= queue->count);
    queue->sending_bytes = bytes;
    queue->sending_count = count;
}

static uint64_t pause_ms(const struct export_queue *queue, uint64_t retry_after_ms)
{
    uint64_t wait_ms = (uint64_t)EXPORT_BACK_OFF_MS
                       << (queue->failures < 16 ? queue->failures : 16);
    if (retry_after_ms > wait_ms)
        wait_ms = retry_after_ms;
    return wait_ms < EXPORT_BACK_OFF_MAX_MS ? wait_ms : EXPORT_BACK_OFF_MAX_MS;
}

void export_queue_end(struct export_queue *queue, enum export_result result,
                      uint64_t retry_after_ms, uint64_t now_ns)
{
    size_t bytes = queue->sending_bytes, count = queue->sending_count;
    bool given_up =
        result == EXPORT_LATER && (queue->hurried || queue->failures + 1 >= EXPORT_ATTEMPTS);
    assert(bytes);
    queue->sending_bytes = queue->sending_count = 0;
    if (result == EXPORT_LATER && !given_up) {
        queue->retry_ns = now_ns + pause_ms(queue, retry_after_ms) * CLOCK_NS_PER_MS;
        queue->failures++;
        return;
    }
    if (result == EXPORT_TAKEN)
        queue->exported += count;
    else
        queue->lost += count;
    queue->retry_ns = 0;
    queue->failures = 0;
    queue->first_ns = now_ns;
    buf_consume(&queue->records, bytes);
    queue->counted_bytes -= bytes;
    queue->count -= count;
}
