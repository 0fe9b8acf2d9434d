/* A span: bytes that somebody else owns. What a span points to lives as long as its owner says;
 * most point into a request's arena or into a literal. */
#ifndef TENSORD_BASE_SPAN_H
#define TENSORD_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data; /* not terminated; may be NULL when size is 0 */
    size_t size;      /* bytes */
};

/* Bytes that may be written: where received data goes, for example. */
struct room {
    char *data;
    size_t size; /* bytes; 0: there is no room now */
};

/* The span of a string literal. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

/* For printf: printf("%.*s", SPAN_ARGS(s)). A span longer than INT_MAX is cut. */
#define SPAN_ARGS(s) (int)((s).size > INT32_MAX ? INT32_MAX : (s).size), ((s).data ? (s).data : "")

static inline struct span span_of(const char *string)
{
    return (struct span){string, string ? strlen(string) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    /* -Wanalyzer-null-argument NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): only an
     * empty span has no data */
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_starts_with(struct span s, struct span prefix)
{
    return s.size >= prefix.size &&
           /* -Wanalyzer-null-argument: only an empty span has no data */
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* The rest of s after its first `count` bytes; count ≤ s.size. */
static inline struct span span_after(struct span s, size_t count)
{
    return (struct span){s.data ? s.data + count : s.data, s.size - count};
}

/* ASCII case is ignored. */
bool span_equal_nocase(struct span a, struct span b);

/* Without blanks and tabs at both ends (RFC 9110 §5.6.3, OWS). */
struct span span_trim(struct span s);

/* Splits at the first separator: returns what stands before it and leaves in *rest what stands
 * after; without one, returns all of *rest and leaves it empty with data NULL, which ends a loop
 * `while (rest.data)`. */
struct span span_split(struct span *rest, char separator);

/* Reads the whole of s as a decimal number: digits only, at least one, no sign, no blank. False,
 * and *ret_value untouched, when it is anything else or does not fit. */
bool span_to_u64(struct span s, uint64_t *ret_value);

#endif
