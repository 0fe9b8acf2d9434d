/* Reading what is exported and where; see export_config.h. */
#include "exporter/export_config.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_MAX = 64 };

/* A variable's value; NULL when it is unset or empty, which is the same. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_true(const char *name)
{
    const char *value = variable(name);
    return value && span_equal_nocase(span_of(value), SPAN("true"));
}

bool export_wanted(const struct settings *settings)
{
    const char *exporters = variable("OTEL_TRACES_EXPORTER");
    if (settings->trace_endpoint[0])
        return true;
    if (is_true("OTEL_SDK_DISABLED") || (exporters && strcmp(exporters, "none") == 0))
        return false;
    return variable("OTEL_EXPORTER_OTLP_ENDPOINT") ||
           variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
}

/* The base of all signals' endpoints gets the path of traces; the endpoint of traces is as it is.
 */
static const char *url_of(const struct settings *settings, struct arena *arena)
{
    const char *traces = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *base = settings->trace_endpoint;
    if (!base[0] && traces)
        return arena_printf(arena, "%s", traces);
    if (!base[0])
        base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert(base); /* is_wanted said so */
    size_t size = strlen(base);
    while (size && base[size - 1] == '/')
        size--;
    return arena_printf(arena, "%.*s/v1/traces", (int)size, base);
}

static bool check_url(const char *url, struct error *ret_error)
{
    if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0)
        return true;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the collector's address has to start with http:// or https://, as in "
                     "http://localhost:4318");
}

/* gRPC to a collector is another port and another protocol. */
static bool check_protocol(struct error *ret_error)
{
    const char *protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
    if (!protocol)
        protocol = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
    if (!protocol || strcmp(protocol, "http/protobuf") == 0)
        return true;
    return error_set(
        ret_error, ERROR_INVALID_ARGUMENT,
        "OTEL_EXPORTER_OTLP_PROTOCOL is '%.40s'; only http/protobuf is spoken, usually "
        "on port 4318",
        protocol);
}

/* A number in milliseconds, or the default when there is none that makes sense. */
static uint64_t number(const char *name, uint64_t fallback, uint64_t highest)
{
    const char *value = variable(name);
    uint64_t read;
    return value && span_to_u64(span_of(value), &read) && read <= highest ? read : fallback;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Values are percent-encoded (W3C Baggage). */
static bool decode(struct arena *arena, struct span text, struct span *ret_decoded)
{
    char *to = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int high = text.data[i] == '%' && i + 2 < text.size ? digit_of(text.data[i + 1]) : -1;
        int low = high >= 0 ? digit_of(text.data[i + 2]) : -1;
        to[size++] = low >= 0 ? (char)(high << 4 | low) : text.data[i];
        i += low >= 0 ? 2 : 0;
    }
    to[size] = '\0';
    *ret_decoded = (struct span){to, size};
    return true;
}

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    }
    return false;
}

/* Reads "a=1,b=2" behind what the list has. */
static bool read_pairs(struct arena *arena, const char *name, struct parameter *list, size_t *count,
                       struct error *ret_error)
{
    struct span rest = span_of(variable(name));
    while (rest.data) {
        struct span value = span_split(&rest, ','), key = span_trim(span_split(&value, '='));
        if (!key.size)
            continue;
        if (*count == LIST_MAX)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s has more than %d entries", name,
                             LIST_MAX);
        struct parameter *pair = &list[*count];
        if (!arena_copy(arena, key, &pair->key) || !decode(arena, span_trim(value), &pair->value))
            return error_no_memory(ret_error);
        if (has_control(pair->key) || has_control(pair->value))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s has a control character", name);
        ++*count;
    }
    return true;
}

static const struct parameter *find(const struct export_config *config, struct span key)
{
    for (size_t i = 0; i < config->attribute_count; i++) {
        if (span_equal(config->attributes[i].key, key))
            return &config->attributes[i];
    }
    return NULL;
}

/* OTEL_SERVICE_NAME wins over service.name among the attributes, and that over the server's own. */
static void add_service_name(const struct settings *settings, struct export_config *config)
{
    const char *name = variable("OTEL_SERVICE_NAME");
    struct parameter *known = (struct parameter *)(uintptr_t)find(config, SPAN("service.name"));
    if (known && name)
        known->value = span_of(name);
    else if (!known)
        config->attributes[config->attribute_count++] = (struct parameter){
            .key = SPAN("service.name"), .value = span_of(name ? name : settings->server_id)};
}

static bool add_process(struct arena *arena, struct export_config *config)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    char *copy = arena_printf(arena, "%s", host);
    if (!copy)
        return false;
    if (!find(config, SPAN("service.version")))
        config->attributes[config->attribute_count++] =
            (struct parameter){.key = SPAN("service.version"), .value = SPAN(TENSORD_VERSION)};
    if (!find(config, SPAN("host.name")))
        config->attributes[config->attribute_count++] =
            (struct parameter){.key = SPAN("host.name"), .value = span_of(copy)};
    return true;
}

bool export_config_read(const struct settings *settings, struct arena *arena,
                        struct export_config *ret_config, struct error *ret_error)
{
    struct export_config config = {
        .url = url_of(settings, arena),
        .headers = arena_calloc(arena, LIST_MAX, sizeof *config.headers),
        .attributes = arena_calloc(arena, LIST_MAX + 3, sizeof *config.attributes),
        .timeout_ms = number("OTEL_EXPORTER_OTLP_TIMEOUT", 10000, 600000),
        .delay_ms = number("OTEL_BSP_SCHEDULE_DELAY", 5000, 600000),
        .batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 8192),
    };
    const char *certificate = variable("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE");
    if (!certificate)
        certificate = variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
    config.certificate = certificate ? certificate : "";
    if (!config.url || !config.headers || !config.attributes)
        return error_no_memory(ret_error);
    const char *headers = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
                              ? "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
                              : "OTEL_EXPORTER_OTLP_HEADERS";
    if (!check_url(config.url, ret_error) || !check_protocol(ret_error) ||
        !read_pairs(arena, headers, config.headers, &config.header_count, ret_error) ||
        !read_pairs(arena, "OTEL_RESOURCE_ATTRIBUTES", config.attributes, &config.attribute_count,
                    ret_error))
        return false;
    add_service_name(settings, &config);
    if (!add_process(arena, &config))
        return error_no_memory(ret_error);
    *ret_config = config;
    return true;
}

/* ---- which requests ---- */

struct sampler {
    const char *name;
    bool follow;
    double ratio; /* -1: the argument says */
};

static const struct sampler samplers[] = {
    {"parentbased_always_on", true, 1},
    {"parentbased_always_off", true, 0},
    {"parentbased_traceidratio", true, -1},
    {"always_on", false, 1},
    {"always_off", false, 0},
    {"traceidratio", false, -1},
};

static double argument(void)
{
    const char *text = variable("OTEL_TRACES_SAMPLER_ARG");
    char *end;
    double ratio = text ? strtod(text, &end) : 1;
    return ratio >= 0 && ratio <= 1 ? ratio : 1;
}

static const struct sampler *find_sampler(const char *name)
{
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
        if (strcmp(name, samplers[i].name) == 0)
            return &samplers[i];
    }
    return NULL;
}

bool export_sampling(const struct settings *settings, struct trace_setting *ret_setting,
                     bool *ret_follow, struct error *ret_error)
{
    const char *name = variable("OTEL_TRACES_SAMPLER");
    const struct sampler *sampler = name ? find_sampler(name) : &samplers[0];
    bool flag = settings->sources[SETTING_trace_sample_permille] != SETTING_DEFAULT;
    if (!sampler && !flag)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "OTEL_TRACES_SAMPLER is '%.40s'; known are always_on, always_off, "
                         "traceidratio, and the same behind parentbased_",
                         name);
    double ratio = sampler ? sampler->ratio : 1;
    if (ratio < 0)
        ratio = argument();
    if (flag)
        ratio = (double)settings->trace_sample_permille / 1000;
    *ret_setting = (struct trace_setting){true, true, true, true, ratio, -1};
    *ret_follow = !sampler || sampler->follow;
    return true;
}
