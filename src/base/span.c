/* Spans of bytes; see span.h. */
#include "base/span.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.size && is_blank(s.data[0]))
        s = span_after(s, 1);
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

struct span span_split(struct span *rest, char separator)
{
    struct span whole = *rest;
    const char *at = whole.size ? memchr(whole.data, separator, whole.size) : NULL;
    if (!at) {
        *rest = (struct span){NULL, 0};
        return whole;
    }
    size_t before = (size_t)(at - whole.data);
    *rest = span_after(whole, before + 1);
    return (struct span){whole.data, before};
}

bool span_to_u64(struct span s, uint64_t *ret_value)
{
    if (s.size == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}
