/* The front's line to the exporter; see exporter_client.h. */
#include "exporter/exporter_client.h"

#include "base/clock.h"
#include "exporter/exporter.h"
#include "telemetry/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FLUSH_MS = 100,     /* that a record may wait here */
    PATIENCE_MS = 2000, /* with an exporter that is to end */
    BACK_OFF_MS = 1000,
    BACK_OFF_MAX_MS = 60000,
    HEALTHY_MS = 60000, /* an exporter that lived so long starts the count anew */
};

static void close_line(struct exporter_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    timer_stop(&client->flush);
}

void exporter_client_listen(struct exporter_client *client)
{
    struct export_report report;
    /* The exporter writes each whole into a line that has room for it: none comes in pieces. */
    while (client->fd >= 0 &&
           recv(client->fd, &report, sizeof report, MSG_DONTWAIT) == sizeof report) {
        metrics.spans[SPAN_EXPORTED] += report.exported;
        metrics.spans[SPAN_LOST] += report.lost;
    }
}

/* ---- records ---- */

static void flush(struct timer *timer)
{
    struct exporter_client *client = list_entry(timer, struct exporter_client, flush);
    exporter_client_listen(client);
    if (client->fd < 0 || !tracer_flush(client->tracer, client->fd))
        return; /* its end is told by the spawner */
    if (client->tracer->waiting.size)
        timer_start(timer, client->loop, FLUSH_MS, flush);
}

static void wake(void *context)
{
    struct exporter_client *client = context;
    if (client->fd >= 0 && !timer_running(&client->flush))
        timer_start(&client->flush, client->loop, FLUSH_MS, flush);
}

/* ---- the process ---- */

static void start(struct exporter_client *client);

static void restart(struct timer *timer)
{
    start(list_entry(timer, struct exporter_client, restart));
}

static void back_off(struct exporter_client *client)
{
    uint64_t wait_ms = (uint64_t)BACK_OFF_MS << (client->failures < 6 ? client->failures : 6);
    client->failures++;
    timer_start(&client->restart, client->loop,
                wait_ms < BACK_OFF_MAX_MS ? wait_ms : BACK_OFF_MAX_MS, restart);
}

static void finished(struct exporter_client *client)
{
    timer_stop(&client->restart);
    close_line(client);
    client->stopped(client->context);
}

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    struct exporter_client *client = list_entry(process, struct exporter_client, process);
    uint64_t lived_ns = loop_now_ns(client->loop) - client->started_ns;
    client->running = false;
    exporter_client_listen(client);
    close_line(client);
    if (client->stopping) {
        finished(client);
        return;
    }
    log_error("front", "the exporter of traces %s; another one will be started",
              started ? reason : "could not be started");
    if (lived_ns >= HEALTHY_MS * CLOCK_NS_PER_MS)
        client->failures = 0;
    back_off(client);
}

static void start(struct exporter_client *client)
{
    struct error error;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        back_off(client);
        return;
    }
    client->process = (struct worker_process){.ended = on_ended};
    client->running = spawner_start_exporter(client->spawner, &client->process, pair[1], &error);
    close(pair[1]);
    if (!client->running) {
        log_error("front", "no exporter of traces: %s", error.message);
        close(pair[0]);
        back_off(client);
        return;
    }
    client->fd = pair[0];
    client->started_ns = loop_now_ns(client->loop);
    tracer_restart(client->tracer);
    if (client->tracer->waiting.size)
        wake(client);
}

void exporter_client_start(struct exporter_client *client, struct loop *loop,
                           struct spawner_client *spawner, struct tracer *tracer)
{
    *client =
        (struct exporter_client){.loop = loop, .spawner = spawner, .tracer = tracer, .fd = -1};
    tracer->wake = wake;
    tracer->context = client;
    start(client);
}

/* ---- the end ---- */

static void impatient(struct timer *timer)
{
    struct exporter_client *client = list_entry(timer, struct exporter_client, restart);
    spawner_kill(client->spawner, &client->process);
    finished(client);
}

void exporter_client_stop(struct exporter_client *client, void (*stopped)(void *context),
                          void *context)
{
    client->stopping = true;
    client->stopped = stopped;
    client->context = context;
    if (!client->loop || !client->running) {
        if (client->loop)
            timer_stop(&client->restart);
        stopped(context);
        return;
    }
    client->tracer->available = false;
    tracer_flush(client->tracer, client->fd);
    shutdown(client->fd, SHUT_WR);
    timer_start(&client->restart, client->loop, PATIENCE_MS, impatient);
}
