/* The page of metrics; see metrics_page.h. */
#include "telemetry/metrics_page.h"

#include "telemetry/metrics.h"
#include "telemetry/summary.h"

static void put_rows(struct buf *to, const char *title, const struct metric *table, size_t count)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(to, "\n### %s\n\n| metric | kind | labels | is |\n|---|---|---|---|\n", title);
    for (size_t i = 0; i < count; i++) {
        const struct metric_labels *labels = table[i].labels;
        buf_printf(to, "| `%s` | %s | ", table[i].name, kinds[table[i].kind]);
        for (size_t j = 0; labels->pairs && j < labels->count; j++) {
            struct span rest = span_of(labels->pairs[j]);
            while (j == 0 && rest.data) {
                struct span pair = span_split(&rest, ','), name = span_split(&pair, '=');
                buf_printf(to, "`%.*s` ", SPAN_ARGS(name));
            }
        }
        buf_printf(to, "| %s |\n", table[i].help);
    }
}

static void put_names(struct buf *to)
{
    buf_printf(to, "\n### Stages\n\n| `stage` | lasts from |\n|---|---|\n");
#define STAGE_ROW(name, what) buf_printf(to, "| `%s` | %s |\n", #name, what);
    STAGES(STAGE_ROW)
    buf_printf(to, "\n### Limits\n\n| `limit` | counts how often |\n|---|---|\n");
#define LIMIT_ROW(name, when) buf_printf(to, "| `%s` | %s |\n", #name, when);
    LIMITS(LIMIT_ROW)
    buf_printf(to, "\n### Summaries\n\n| metric | is |\n|---|---|\n");
#define SUMMARY_ROW(member, name, help) buf_printf(to, "| `%s` | %s |\n", name, help);
    SUMMARIES(SUMMARY_ROW)
}

bool metrics_page_write(struct buf *to)
{
    size_t count;
    const struct metric *table = metrics_server_table(&count);
    put_rows(to, "Of the server", table, count);
    table = metrics_model_table(&count);
    put_rows(to, "Of each version of a model (labels `model`, `version`)", table, count);
    put_names(to);
    return buf_ok(to);
}
