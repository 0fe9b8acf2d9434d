/* Telling the user what is served; see announce.h. */
#include "cmd/announce.h"

#include "api/example.h"
#include "telemetry/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXAMPLE_BYTES = 1 << 20,
    SHOWN_BYTES = 400, /* longer examples are not printed in the line to paste */
};

void announcer_init(struct announcer *announcer, const char *example)
{
    announcer->example = example;
    announcer->example_fd = -1;
    if (!example[0])
        return;
    announcer->example_fd = open(example, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (announcer->example_fd < 0)
        log_warning("front", "cannot write the example to '%s': %s", example, strerror(errno));
}

void announcer_scanned(struct announcer *announcer, const struct serving *serving)
{
    if (!announcer->scanned && serving->models.count == 0)
        puts("no models there yet; drop one into the folder");
    announcer->scanned = true;
    fflush(stdout);
}

static void print_infos(const char *label, const struct tensor_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char shape[160];
        printf("  %-7s %.*s  %s %s%s\n", i ? "" : label, SPAN_ARGS(infos[i].name),
               datatype_name(infos[i].datatype), shape_format(&infos[i].shape, shape, sizeof shape),
               infos[i].optional ? " (optional)" : "");
    }
}

static void print_curl(struct announcer *announcer, const struct version *version,
                       const struct schema *schema)
{
    struct buf example;
    buf_init(&example, EXAMPLE_BYTES);
    example_write(&example, schema);
    if (announcer->example_fd >= 0) {
        bool written = buf_ok(&example) && write(announcer->example_fd, example.data,
                                                 example.size) == (ssize_t)example.size;
        close(announcer->example_fd);
        announcer->example_fd = -1;
        if (written)
            printf("  try it: curl -d @%s %s/v2/models/%.*s/infer\n", announcer->example,
                   announcer->address, SPAN_ARGS(version->model->name));
    } else if (buf_ok(&example) && example.size <= SHOWN_BYTES && !announcer->example[0]) {
        printf("  try it: curl -d '%.*s' %s/v2/models/%.*s/infer\n", SPAN_ARGS(buf_span(&example)),
               announcer->address, SPAN_ARGS(version->model->name));
    }
    buf_fini(&example);
}

/* A managed server answers in its own way. */
static bool is_managed_server(const struct schema *schema)
{
    return span_equal(schema->platform, SPAN("server"));
}

void announcer_settled(struct announcer *announcer, const struct version *version)
{
    const struct schema *schema = version_schema(version);
    if (!version_ready(version) || !schema)
        return;
    printf("model %.*s version %llu is %s (%.*s)\n", SPAN_ARGS(version->model->name),
           (unsigned long long)version->number, version_state_name(version_state(version)),
           SPAN_ARGS(schema->engine));
    print_infos("input", schema->inputs, schema->input_count);
    print_infos("output", schema->outputs, schema->output_count);
    if (is_managed_server(schema))
        printf("  its paths are beneath %s/tensord/v1/servers/%.*s/\n", announcer->address,
               SPAN_ARGS(version->model->name));
    else
        print_curl(announcer, version, schema);
    fflush(stdout);
}
