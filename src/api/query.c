/* Parameters of a target; see query.h. */
#include "api/query.h"

struct span query_value(const struct http_request *request, struct span name)
{
    struct span rest = request->query;
    while (rest.data) {
        struct span value = span_split(&rest, '&'), key = span_split(&value, '=');
        if (span_equal(key, name))
            return value.data ? value : SPAN("");
    }
    return (struct span){NULL, 0};
}

bool query_number(const struct http_request *request, struct span name, uint64_t absent,
                  uint64_t most, uint64_t *ret_value, struct error *ret_error)
{
    uint64_t number = absent;
    struct span text = query_value(request, name);
    if (text.data && (!span_to_u64(text, &number) || number > most))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the parameter '%.*s' is to be a number, of at most %llu", SPAN_ARGS(name),
                         (unsigned long long)most);
    *ret_value = number;
    return true;
}
