/* GET /metrics. */
#include "api/routes.h"
#include "telemetry/exposition.h"
#include "telemetry/process.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 24 };

_Static_assert(METRICS_STATES == VERSION_FAILED + 1, "each state has its label");

/* A version as it is shown, and what that points to. */
struct shown {
    struct model_metrics metrics;
    char number[NUMBER_BYTES];
};

struct listing {
    struct exposition_model *models;
    struct shown *shown;
    size_t count;
    struct model_metrics others; /* of the versions that have no series of their own */
    bool has_others;
};

/* Counts all versions, and those in each state: figures of the server as a whole, without names. */
static size_t count_versions(const struct serving *serving)
{
    struct map_slot slot;
    size_t position = 0, count = 0;
    memset(metrics.versions, 0, sizeof metrics.versions);
    residence_measure(&serving->residence);
    metrics.cache_bytes = serving->reuse.cache.bytes;
    metrics.cache_answers = serving->reuse.cache.count;
    metrics.cache_evictions = serving->reuse.cache.evictions;
    while (map_next(&serving->models, &position, &slot)) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++)
            metrics.versions[version_state(model->versions[i])]++;
        count += model->version_count;
    }
    return count;
}

static void list_version(struct listing *listing, const struct version *version)
{
    struct model_metrics now = version_metrics(version);
    if (!version->statistics.has_series) {
        model_metrics_add(&listing->others, &now);
        listing->has_others = true;
        return;
    }
    struct shown *shown = &listing->shown[listing->count];
    shown->metrics = now;
    snprintf(shown->number, sizeof shown->number, "%llu", (unsigned long long)version->number);
    listing->models[listing->count++] =
        (struct exposition_model){version->model->name, span_of(shown->number), &shown->metrics,
                                  version->statistics.summaries};
}

/* The versions of the models that the caller may see. */
static void list_versions(struct listing *listing, const struct api_call *call)
{
    size_t position = 0;
    /* May all be seen, those that are gone too? */
    bool all = !call->token || span_equal(call->token->record.models, SPAN("*"));
    listing->has_others = all && call->api->serving->gone_count;
    if (listing->has_others)
        listing->others = call->api->serving->gone;
    for (const struct model *model; (model = call_next_model(call, &position));) {
        for (size_t i = 0; i < model->version_count; i++)
            list_version(listing, model->versions[i]);
    }
    if (listing->has_others)
        listing->models[listing->count++] =
            (struct exposition_model){SPAN("(others)"), SPAN(""), &listing->others, NULL};
}

static bool write_all(struct api_call *call, enum exposition_format format)
{
    const struct serving *serving = call->api->serving;
    size_t count = count_versions(serving) + 1;
    struct listing listing = {.models = calloc(count, sizeof *listing.models),
                              .shown = calloc(count, sizeof *listing.shown)};
    bool good = listing.models && listing.shown;
    if (good) {
        list_versions(&listing, call);
        metrics.workers = serving->live_workers;
        process_measure(&metrics);
        good = exposition_write(&call->reply, format, &metrics, listing.models, listing.count);
    }
    free(listing.models);
    free(listing.shown);
    return good;
}

void serve_metrics(struct api_call *call)
{
    struct error error;
    enum exposition_format format =
        exposition_accepted(http_field(&call->exchange->request, SPAN("accept")));
    struct http_field type = {SPAN("content-type"), exposition_content_type(format)};
    if (!write_all(call, format)) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    struct iovec body = {call->reply.data, call->reply.size};
    http_send(call->exchange, 200, &type, 1, &body, 1);
}
