/* The exporter's loop; see exporter.h. One thread, which waits in curl_multi_poll for the
 * collector and for the front at once. */
#include "exporter/exporter.h"

#include "base/clock.h"
#include "exporter/otlp.h"
#include "telemetry/log.h"

#include <errno.h>
#include <sys/socket.h>

enum { BODY_BYTES = 64 << 20, LONG_WAIT_MS = 60000 };

struct exporter {
    const struct export_config *config;
    struct post *post;
    int fd; /* -1: the front is gone */
    struct export_queue queue;
    struct buf body;
    struct export_report told; /* of the queue's counts */
    bool failing;              /* the last post failed, which was logged */
    bool broken;               /* what came is no record */
};

/* Reads what has come, as long as there is room. */
static void read_records(struct exporter *exporter)
{
    while (exporter->fd >= 0 && !exporter->broken) {
        struct room room = export_queue_room(&exporter->queue);
        if (!room.size)
            return;
        ssize_t count = recv(exporter->fd, room.data, room.size, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (count <= 0) {
            exporter->fd = -1;
            exporter->queue.hurried = true;
            exporter->queue.retry_ns = 0;
        } else if (!export_queue_received(&exporter->queue, (size_t)count, clock_now_ns())) {
            log_error("exporter", "the front sent what is no record");
            exporter->broken = true;
        }
    }
}

/* Tells the front what became of its records, when it has room to hear it. */
static void report(struct exporter *exporter)
{
    const struct export_queue *queue = &exporter->queue;
    struct export_report news = {queue->exported - exporter->told.exported,
                                 queue->lost - exporter->told.lost};
    if (exporter->fd < 0 || (!news.exported && !news.lost))
        return;
    if (send(exporter->fd, &news, sizeof news, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof news)
        exporter->told = (struct export_report){queue->exported, queue->lost};
}

static void start_batch(struct exporter *exporter)
{
    struct export_queue *queue = &exporter->queue;
    size_t bytes, count;
    struct error error;
    buf_clear(&exporter->body);
    if (!otlp_encode((struct span){queue->records.data, queue->counted_bytes}, (size_t)queue->batch,
                     exporter->config->attributes, exporter->config->attribute_count,
                     &exporter->body, &bytes, &count, &error) ||
        !post_start(exporter->post, buf_span(&exporter->body))) {
        log_error("exporter", "a batch could not be prepared: out of memory");
        queue->retry_ns = clock_now_ns() + EXPORT_BACK_OFF_MS * CLOCK_NS_PER_MS;
        return;
    }
    export_queue_begin(queue, bytes, count);
}

/* Logs when things change, not each time. */
static void note(struct exporter *exporter, enum export_result result, const char *text)
{
    if (result == EXPORT_REFUSED)
        log_warning("exporter", "the collector refuses traces: %s", text);
    else if (result == EXPORT_LATER && !exporter->failing)
        log_warning("exporter", "the collector at %s takes no traces now: %s; trying again",
                    exporter->config->url, text);
    else if (result == EXPORT_TAKEN && exporter->failing)
        log_info("exporter", "the collector takes traces again");
    exporter->failing = result == EXPORT_LATER;
}

static void look_at_post(struct exporter *exporter)
{
    enum export_result result;
    uint64_t retry_after_ms;
    char text[256];
    if (!exporter->queue.sending_bytes ||
        !post_ended(exporter->post, &result, &retry_after_ms, text, sizeof text))
        return;
    export_queue_end(&exporter->queue, result, retry_after_ms, clock_now_ns());
    note(exporter, result, text);
    report(exporter);
}

static int wait_ms(const struct exporter *exporter)
{
    uint64_t due_ns = export_queue_due_ns(&exporter->queue), now_ns = clock_now_ns();
    if (due_ns == CLOCK_NEVER)
        return LONG_WAIT_MS;
    if (due_ns <= now_ns)
        return 0;
    uint64_t ms = (due_ns - now_ns) / CLOCK_NS_PER_MS + 1;
    return ms < LONG_WAIT_MS ? (int)ms : LONG_WAIT_MS;
}

static bool is_over(const struct exporter *exporter)
{
    return exporter->broken ||
           (exporter->fd < 0 && exporter->queue.count == 0 && !exporter->queue.sending_bytes);
}

int exporter_run(const struct export_config *config, struct post *post, int fd)
{
    struct exporter exporter = {.config = config, .post = post, .fd = fd};
    export_queue_init(&exporter.queue, config->delay_ms, config->batch);
    buf_init(&exporter.body, BODY_BYTES);
    while (!is_over(&exporter)) {
        bool full = export_queue_room(&exporter.queue).size == 0;
        post_wait(post, full ? -1 : exporter.fd, wait_ms(&exporter));
        read_records(&exporter);
        look_at_post(&exporter);
        if (export_queue_due_ns(&exporter.queue) <= clock_now_ns())
            start_batch(&exporter);
    }
    export_queue_fini(&exporter.queue);
    buf_fini(&exporter.body);
    return exporter.broken ? 1 : 0;
}
