/* The metrics as text; see exposition.h. Families are written one after the other, each with all
 * its series, as both formats want it. */
#include "telemetry/exposition.h"

#include <stdio.h>

struct writer {
    struct buf *to;
    enum exposition_format format;
    const struct exposition_model *models;
    size_t model_count;
};

enum exposition_format exposition_accepted(struct span accept)
{
    struct span wanted = SPAN("application/openmetrics-text");
    return accept.size && memmem(accept.data, accept.size, wanted.data, wanted.size)
               ? EXPOSITION_OPENMETRICS
               : EXPOSITION_PROMETHEUS;
}

struct span exposition_content_type(enum exposition_format format)
{
    if (format == EXPOSITION_OPENMETRICS)
        return SPAN("application/openmetrics-text; version=1.0.0; charset=utf-8");
    return SPAN("text/plain; version=0.0.4; charset=utf-8");
}

/* ---- pieces ---- */

static void put(struct writer *writer, const char *text)
{
    buf_append(writer->to, span_of(text));
}

/* A label's value: backslash, quote and line feed are escaped. */
static void put_value(struct writer *writer, struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c == '\\' || c == '"')
            buf_append_char(writer->to, '\\');
        if (c == '\n')
            put(writer, "\\n");
        else
            buf_append_char(writer->to, c);
    }
}

/* A whole number without printf's cost: a scrape has thousands. */
static void put_number(struct writer *writer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buf_append(writer->to, (struct span){digits + at, sizeof digits - at});
}

/* number ÷ 10^places, all places written. */
static void put_decimal(struct writer *writer, uint64_t number, unsigned places)
{
    uint64_t scale = 1;
    for (unsigned i = 0; i < places; i++)
        scale *= 10;
    put_number(writer, number / scale);
    buf_append_char(writer->to, '.');
    for (uint64_t digit = scale / 10; digit; digit /= 10)
        buf_append_char(writer->to, (char)('0' + number / digit % 10));
}

static void put_in_unit(struct writer *writer, enum metric_unit unit, uint64_t number)
{
    switch (unit) {
    case UNIT_SECONDS:
        put_decimal(writer, number, 9);
        break;
    case UNIT_MICROSECONDS:
        put_number(writer, number / 1000);
        break;
    case UNIT_MS_AS_SECONDS:
    case UNIT_PERMILLE:
        put_decimal(writer, number, 3);
        break;
    case UNIT_ONE:
    case UNIT_BYTES:
        put_number(writer, number);
        break;
    }
}

static void put_separator(struct writer *writer, bool *first)
{
    buf_append_char(writer->to, *first ? '{' : ',');
    *first = false;
}

/* {model="…",version="…",pair,extra="text"}; nothing when there is no label at all. */
static void put_labels(struct writer *writer, const struct exposition_model *model,
                       const char *pair, const char *extra, const char *text)
{
    bool first = true;
    if (model) {
        put_separator(writer, &first);
        put(writer, "model=\"");
        put_value(writer, model->name);
        put(writer, "\",version=\"");
        put_value(writer, model->version);
        buf_append_char(writer->to, '"');
    }
    if (pair) {
        put_separator(writer, &first);
        put(writer, pair);
    }
    if (extra) {
        put_separator(writer, &first);
        put(writer, extra);
        put(writer, "=\"");
        put(writer, text);
        buf_append_char(writer->to, '"');
    }
    put(writer, first ? " " : "} ");
}

/* ---- families ---- */

static bool ends_with(struct span text, struct span end)
{
    return text.size >= end.size && span_equal(span_after(text, text.size - end.size), end);
}

static void put_family(struct writer *writer, const char *name, const char *type, const char *help)
{
    struct span family = span_of(name);
    bool open = writer->format == EXPOSITION_OPENMETRICS;
    if (open && strcmp(type, "counter") == 0) {
        if (ends_with(family, SPAN("_total")))
            family.size -= sizeof "_total" - 1;
        else
            type = "unknown";
    }
    buf_printf(writer->to, "# HELP %.*s %s\n# TYPE %.*s %s\n", SPAN_ARGS(family), help,
               SPAN_ARGS(family), type);
}

static void put_histogram(struct writer *writer, const struct metric *metric,
                          const struct exposition_model *model, const char *pair,
                          const struct histogram *histogram)
{
    const struct histogram_scale *scale = metric->scale;
    uint64_t below = 0;
    for (size_t i = 0; i <= scale->count; i++) {
        below += histogram->buckets[i];
        put(writer, metric->name);
        put(writer, "_bucket");
        put_labels(writer, model, pair, "le", i < scale->count ? scale->texts[i] : "+Inf");
        put_number(writer, below);
        buf_append_char(writer->to, '\n');
    }
    put(writer, metric->name);
    put(writer, "_sum");
    put_labels(writer, model, pair, NULL, NULL);
    buf_printf(writer->to, "%.15g\n", (double)histogram->sum * scale->unit);
    put(writer, metric->name);
    put(writer, "_count");
    put_labels(writer, model, pair, NULL, NULL);
    put_number(writer, below);
    buf_append_char(writer->to, '\n');
}

/* Series of one struct, whose first member of the row is at `members`. A histogram without a value
 * is left out: most models have some that they never fill. */
static void put_series(struct writer *writer, const struct metric *metric,
                       const struct exposition_model *model, const void *members)
{
    const struct metric_labels *labels = metric->labels;
    for (size_t i = 0; i < labels->count; i++) {
        const char *pair = labels->pairs ? labels->pairs[i] : NULL;
        if (metric->kind == METRIC_HISTOGRAM) {
            const struct histogram *histogram = (const struct histogram *)members + i;
            if (histogram_count(histogram))
                put_histogram(writer, metric, model, pair, histogram);
            continue;
        }
        put(writer, metric->name);
        put_labels(writer, model, pair, NULL, NULL);
        put_in_unit(writer, metric->unit, ((const uint64_t *)members)[i]);
        buf_append_char(writer->to, '\n');
    }
}

static void put_type(struct writer *writer, const struct metric *metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    put_family(writer, metric->name, types[metric->kind], metric->help);
}

static void put_server(struct writer *writer, const struct server_metrics *server)
{
    size_t count;
    const struct metric *table = metrics_server_table(&count);
    for (size_t i = 0; i < count; i++) {
        put_type(writer, &table[i]);
        put_series(writer, &table[i], NULL, (const char *)server + table[i].offset);
    }
}

static void put_models(struct writer *writer)
{
    size_t count;
    const struct metric *table = metrics_model_table(&count);
    for (size_t i = 0; i < count; i++) {
        put_type(writer, &table[i]);
        for (size_t j = 0; j < writer->model_count; j++)
            put_series(writer, &table[i], &writer->models[j],
                       (const char *)writer->models[j].metrics + table[i].offset);
    }
}

/* ---- summaries ---- */

struct summary_row {
    const char *name, *help;
    size_t summary;  /* in struct model_summaries */
    size_t duration; /* in struct model_metrics: count and sum of all time */
};

static const struct summary_row summary_rows[] = {
#define SUMMARY_ROW(member, name, help)                                                            \
    {name, help, offsetof(struct model_summaries, member), offsetof(struct model_metrics, member)},
    SUMMARIES(SUMMARY_ROW)};

static void put_summary(struct writer *writer, const struct summary_row *row,
                        const struct exposition_model *model)
{
    const void *at = (const char *)model->summaries + row->summary;
    const struct summary *summary = at;
    at = (const char *)model->metrics + row->duration;
    const struct duration *duration = at;
    for (size_t i = 0; i < SUMMARY_QUANTILES; i++) {
        put(writer, row->name);
        put_labels(writer, model, NULL, "quantile", summary_quantile_texts[i]);
        put_number(writer, summary_quantile(summary, summary_quantiles[i]) / 1000);
        buf_append_char(writer->to, '\n');
    }
    put(writer, row->name);
    put(writer, "_sum");
    put_labels(writer, model, NULL, NULL, NULL);
    put_number(writer, duration->ns / 1000);
    buf_append_char(writer->to, '\n');
    put(writer, row->name);
    put(writer, "_count");
    put_labels(writer, model, NULL, NULL, NULL);
    put_number(writer, duration->count);
    buf_append_char(writer->to, '\n');
}

static void put_summaries(struct writer *writer)
{
    for (size_t i = 0; i < sizeof summary_rows / sizeof *summary_rows; i++) {
        bool named = false;
        for (size_t j = 0; j < writer->model_count; j++) {
            if (!writer->models[j].summaries)
                continue;
            if (!named)
                put_family(writer, summary_rows[i].name, "summary", summary_rows[i].help);
            named = true;
            put_summary(writer, &summary_rows[i], &writer->models[j]);
        }
    }
}

bool exposition_write(struct buf *to, enum exposition_format format,
                      const struct server_metrics *server, const struct exposition_model *models,
                      size_t model_count)
{
    struct writer writer = {to, format, models, model_count};
    put_server(&writer, server);
    put_models(&writer);
    put_summaries(&writer);
    if (format == EXPOSITION_OPENMETRICS)
        put(&writer, "# EOF\n");
    return buf_ok(to);
}
