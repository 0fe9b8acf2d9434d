/* Translating what other servers are started with; see compat.h. */
#include "cmd/compat.h"

#include "cmd/commands.h"
#include "codec/suggest.h"
#include "settings/row.h"

#include <inttypes.h>
#include <stdio.h>

const struct compat_row *compat_find(const struct compat_row *rows, struct span name)
{
    for (const struct compat_row *row = rows; row->name; row++) {
        if (span_equal(span_of(row->name), name))
            return row;
    }
    return NULL;
}

bool compat_unknown(const struct compat_row *rows, struct span name, struct error *ret_error)
{
    char hint[96];
    struct suggest suggest = {.word = name};
    for (const struct compat_row *row = rows; row->name; row++)
        suggest_consider(&suggest, span_of(row->name));
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown flag '%.*s'%s",
                     SPAN_ARGS(suggest_cut(name)), suggest_format(&suggest, hint, sizeof hint));
}

void compat_note(const struct compat *compat, const char *name, const char *note)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s: %s", name, note);
    command_complain(compat->command, sentence);
}

bool compat_add(struct compat *compat, const char *setting, const char *value,
                struct error *ret_error)
{
    char name[SETTING_NAME_BYTES] = "";
    if (setting)
        setting_flag(setting_find(span_of(setting)), name);
    char *argument = arena_printf(&compat->arena, "%s%s%s", name, setting ? "=" : "", value);
    if (!argument)
        return error_no_memory(ret_error);
    if (compat->count == COMPAT_ARGUMENTS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "too many options");
    compat->arguments[compat->count++] = argument;
    return true;
}

/* ---- values ---- */

static bool wants(const char *name, const char *what, const char *value, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants %s, not '%.80s'", name, what,
                     value);
}

static bool read_switch(const char *name, const char *value, bool *ret_on, struct error *ret_error)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"off", "on"}, {"0", "1"}, {"no", "yes"}};
    for (size_t i = 0; i < 2 * sizeof words / sizeof *words; i++) {
        if (span_equal_nocase(span_of(value), span_of(words[i / 2][i % 2]))) {
            *ret_on = i % 2;
            return true;
        }
    }
    return wants(name, "true or false", value, ret_error);
}

/* Adds value × multiplier ÷ divisor, rounded up. */
static bool add_scaled(struct compat *compat, const struct compat_row *row, const char *name,
                       const char *value, struct error *ret_error)
{
    uint64_t number, multiplier = row->rule == COMPAT_SECONDS ? 1000 : 1;
    uint64_t divisor = row->rule == COMPAT_BYTES ? 1 << 20 : 1;
    char text[32];
    if (row->rule == COMPAT_BYTES && strcmp(value, "-1") == 0)
        return compat_add(compat, row->to, "0", ret_error);
    if (!span_to_u64(span_of(value), &number) ||
        __builtin_mul_overflow(number, multiplier, &number))
        return wants(name, "a number", value, ret_error);
    number = number / divisor + (number % divisor != 0);
    snprintf(text, sizeof text, "%" PRIu64, number);
    return compat_add(compat, row->to, text, ret_error);
}

/* Triton's caches by name: the local one, in the server's memory, is what there is here. */
static bool set_cache(struct compat *compat, const struct compat_row *row, const char *name,
                      const char *value, struct error *ret_error)
{
    static const char local[] = "local,size=";
    const struct compat_row bytes = {.rule = COMPAT_BYTES, .to = row->to};
    if (strncmp(value, local, sizeof local - 1) != 0)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "%s: %s: answers are kept in the server's own memory, as local,size=BYTES",
                         name, value);
    return add_scaled(compat, &bytes, name, value + sizeof local - 1, ret_error);
}

/* ---- rules ---- */

static struct compat_endpoint *endpoint_of(struct compat *compat, const struct compat_row *row)
{
    size_t i = 0;
    while (strcmp(compat->endpoints[i].name, row->to) != 0)
        i++;
    return &compat->endpoints[i];
}

static bool set_port(struct compat *compat, const struct compat_row *row, const char *name,
                     const char *value, struct error *ret_error)
{
    uint64_t port;
    if (!span_to_u64(span_of(value), &port) || port > 65535)
        return wants(name, "a port", value, ret_error);
    endpoint_of(compat, row)->port = value;
    return true;
}

static bool set_mode(struct compat *compat, const char *name, const char *value,
                     struct error *ret_error)
{
    struct span mode = span_of(value);
    if (span_equal_nocase(mode, SPAN("explicit")))
        compat->load = "explicit";
    else if (span_equal_nocase(mode, SPAN("none")) || span_equal_nocase(mode, SPAN("poll")))
        compat->load = "all";
    else
        return wants(name, "one of none|poll|explicit", value, ret_error);
    return true;
}

static bool set_path(struct compat *compat, const char *name, const char *value,
                     struct error *ret_error)
{
    if (compat->path && strcmp(compat->path, value) != 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "%s: one folder is served, but '%.100s' and '%.100s' are given", name,
                         compat->path, value);
    compat->path = value;
    return true;
}

/* A level that is switched off leaves those above it; "debug" is switched on by any number but 0.
 */
static bool set_verbosity(struct compat *compat, const struct compat_row *row, const char *name,
                          const char *value, struct error *ret_error)
{
    uint64_t number;
    bool on = false;
    if (span_to_u64(span_of(value), &number))
        on = number > 0;
    else if (!read_switch(name, value, &on, ret_error))
        return false;
    if (strcmp(row->to, "debug") == 0)
        compat->log_level = on ? "debug" : compat->log_level;
    else if (!on && (!compat->log_level || strcmp(compat->log_level, "debug") != 0))
        compat->log_level =
            strcmp(row->to, "info") == 0 && !compat->log_level ? "warning" : "error";
    return true;
}

static bool refuse_unless_off(const struct compat_row *row, const char *name, const char *value,
                              struct error *ret_error)
{
    bool on = true;
    return (value[0] == '\0' || (read_switch(name, value, &on, NULL) && !on)) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s=%.80s: %s", name, value, row->note);
}

bool compat_apply(struct compat *compat, const struct compat_row *row, const char *name,
                  const char *value, struct error *ret_error)
{
    bool on = false;
    switch (row->rule) {
    case COMPAT_SETTING:
        return compat_add(compat, row->to, value, ret_error);
    case COMPAT_INFER:
        return read_switch(name, value, &on, ret_error) &&
               (!on || compat_add(compat, row->to, "infer", ret_error));
    case COMPAT_SECONDS:
    case COMPAT_BYTES:
        return add_scaled(compat, row, name, value, ret_error);
    case COMPAT_CACHE:
        return set_cache(compat, row, name, value, ret_error);
    case COMPAT_PATH:
        return set_path(compat, name, value, ret_error);
    case COMPAT_ADDRESS:
        endpoint_of(compat, row)->address = value;
        return true;
    case COMPAT_PORT:
        return set_port(compat, row, name, value, ret_error);
    case COMPAT_ALLOW:
        return read_switch(name, value, &endpoint_of(compat, row)->allowed, ret_error);
    case COMPAT_MODE:
        return set_mode(compat, name, value, ret_error);
    case COMPAT_LOAD:
        if (!read_switch(name, value, &on, ret_error))
            return false;
        compat->load = on ? "all" : "explicit";
        return true;
    case COMPAT_VERBOSITY:
        return set_verbosity(compat, row, name, value, ret_error);
    case COMPAT_OFF:
        return refuse_unless_off(row, name, value, ret_error);
    case COMPAT_REFUSED:
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "%s: %s", name, row->note);
    case COMPAT_FOLDER:
    case COMPAT_NOTHING:
    case COMPAT_NO_VALUE:
        break;
    }
    if (row->note)
        compat_note(compat, name, row->note);
    return true;
}

/* Copies the format with `to`, its "_" as "-", in the place of %s. */
static void fill(const char *format, const char *to, char *text, size_t size)
{
    const char *place = strstr(format, "%s");
    size_t before = place ? (size_t)(place - format) : strlen(format);
    snprintf(text, size, "%.*s%s%s", (int)before, format, place ? to : "", place ? place + 2 : "");
    for (char *c = text; *c; c++)
        *c = *c == '_' ? '-' : *c;
}

const char *compat_describe(const struct compat_row *row, char *text, size_t size)
{
    static const char *const formats[] = {
        [COMPAT_SETTING] = "--%s of serve",
        [COMPAT_INFER] = "--%s of serve: true is infer",
        [COMPAT_SECONDS] = "--%s, in seconds",
        [COMPAT_BYTES] = "--%s, in bytes; -1: no limit",
        [COMPAT_CACHE] = "--%s: the size of local; others are refused",
        [COMPAT_PATH] = "the PATH of serve",
        [COMPAT_FOLDER] = "the PATH of serve, when no FOLDER is given",
        [COMPAT_ADDRESS] = "the HOST of a --listen, for %s",
        [COMPAT_PORT] = "the PORT of a --listen, for %s",
        [COMPAT_ALLOW] = "whether there is a --listen for %s",
        [COMPAT_MODE] = "--load: none and poll are all",
        [COMPAT_LOAD] = "--load: true is all, false is explicit",
        [COMPAT_VERBOSITY] = "--log-level: whether %s is logged",
    };
    const char *note = row->note ? row->note : "makes no difference";
    if (row->rule == COMPAT_OFF)
        snprintf(text, size, "refused unless it is false: %s", note);
    else if (row->rule == COMPAT_REFUSED)
        snprintf(text, size, "refused: %s", note);
    else if (row->rule == COMPAT_NOTHING || row->rule == COMPAT_NO_VALUE)
        snprintf(text, size, "accepted: %s", note);
    else
        fill(formats[row->rule], row->to, text, size);
    return text;
}

/* ---- serving ---- */

static bool add_endpoint(struct compat *compat, const struct compat_endpoint *endpoint,
                         struct error *ret_error)
{
    bool v6 = strchr(endpoint->address, ':') && endpoint->address[0] != '[';
    char *address =
        arena_printf(&compat->arena, v6 ? "[%s]:%s" : "%s:%s", endpoint->address, endpoint->port);
    if (!address)
        return error_no_memory(ret_error);
    return compat_add(compat, "listen", address, ret_error);
}

/* True when an endpoint before this one has its port: ours speak everything. */
static bool is_double(const struct compat *compat, const struct compat_endpoint *endpoint)
{
    for (const struct compat_endpoint *other = compat->endpoints; other < endpoint; other++) {
        if (other->allowed && strcmp(other->address, endpoint->address) == 0 &&
            strcmp(other->port, endpoint->port) == 0 && strcmp(other->port, "0") != 0)
            return true;
    }
    return false;
}

/* The setting, unless the operator has said something of it. */
static bool add_default(struct compat *compat, const char *setting, const char *value,
                        struct error *ret_error)
{
    char flag[SETTING_NAME_BYTES];
    size_t size = strlen(setting_flag(setting_find(span_of(setting)), flag));
    for (int i = 0; i < compat->count; i++) {
        if (strncmp(compat->arguments[i], flag, size) == 0 && compat->arguments[i][size] == '=')
            return true;
    }
    return compat_add(compat, setting, value, ret_error);
}

static bool is_local(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Both servers know no tokens: whoever reaches them may use their models, by any name. So it is
 * here, but only as far as using them goes. */
static bool open_to_others(struct compat *compat, struct error *ret_error)
{
    bool open = false;
    for (size_t i = 0; i < COMPAT_ENDPOINTS; i++) {
        const struct compat_endpoint *endpoint = &compat->endpoints[i];
        open = open || (endpoint->allowed && !is_local(endpoint->address));
    }
    return !open || (add_default(compat, "anonymous", "infer", ret_error) &&
                     add_default(compat, "insecure", "true", ret_error) &&
                     add_default(compat, "allowed_host", "*", ret_error));
}

static bool complete(struct compat *compat, struct error *ret_error)
{
    size_t allowed = 0;
    for (size_t i = 0; i < COMPAT_ENDPOINTS; i++) {
        const struct compat_endpoint *endpoint = &compat->endpoints[i];
        allowed += endpoint->allowed;
        if (endpoint->allowed && !is_double(compat, endpoint) &&
            !add_endpoint(compat, endpoint, ret_error))
            return false;
    }
    if (allowed == 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "no endpoint is allowed");
    return open_to_others(compat, ret_error) &&
           compat_add(compat, "load", compat->load, ret_error) &&
           (!compat->log_level || compat_add(compat, "log_level", compat->log_level, ret_error)) &&
           (!compat->path || compat_add(compat, NULL, compat->path, ret_error));
}

static void print_arguments(const struct compat *compat)
{
    fprintf(stderr, "tensord %s: as tensord serve", compat->command);
    for (int i = 0; i < compat->count; i++)
        fprintf(stderr, " %s", compat->arguments[i]);
    fputc('\n', stderr);
}

int compat_serve(struct compat *compat)
{
    struct error error;
    if (!complete(compat, &error))
        return command_complain(compat->command, error.message);
    print_arguments(compat);
    return serve_run(compat->count, compat->arguments);
}
