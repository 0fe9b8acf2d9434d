/* Header fields as parameters; see forwarded.h. */
#include "api/forwarded.h"

#include "auth/glob.h"
#include "base/utf8.h"

enum { NAME_MAX_BYTES = 256 };

/* Matching takes time by the product of both lengths, and a parameter's name may be as long as a
 * body. */
static bool is_meant(struct span patterns, struct span name)
{
    return name.size <= NAME_MAX_BYTES && glob_list_match(patterns, name);
}

static bool is_credential(struct span name)
{
    return span_equal(name, SPAN("authorization")) || span_equal(name, SPAN("cookie")) ||
           span_equal(name, SPAN("proxy-authorization"));
}

static bool check_parameters(struct span patterns, const struct parameter *list, size_t count,
                             struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        if (is_meant(patterns, list[i].key))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "parameter '%.*s' is taken from the header field of that name, and "
                             "from nowhere else",
                             SPAN_ARGS(list[i].key));
    }
    return true;
}

static bool check_field(const struct http_request *request, const struct http_field *field,
                        struct error *ret_error)
{
    if (!http_field_is_single(request, field->name))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the header field '%.*s', which is a parameter, is there twice",
                         SPAN_ARGS(field->name));
    return utf8_valid(field->value) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the header field '%.*s', which is a parameter, is not UTF-8",
                     SPAN_ARGS(field->name));
}

bool forwarded_add(struct span patterns, const struct http_request *request, struct arena *arena,
                   const struct parameter **list, size_t *count, struct error *ret_error)
{
    if (!patterns.size)
        return true;
    if (!check_parameters(patterns, *list, *count, ret_error))
        return false;
    struct parameter *both = arena_calloc(arena, *count + request->field_count, sizeof *both);
    if (!both)
        return error_no_memory(ret_error);
    size_t used = *count;
    if (used)
        memcpy(both, *list, used * sizeof *both);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (is_credential(field->name) || !is_meant(patterns, field->name))
            continue;
        if (!check_field(request, field, ret_error))
            return false;
        both[used++] = (struct parameter){.key = field->name, .value = field->value};
    }
    *list = both;
    *count = used;
    return true;
}
