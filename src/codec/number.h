/* Numbers as JSON writes them: decimal text to binary and back, exact both ways.
 *
 * Reading rounds correctly (to nearest, ties to even) for every text of any length, straight to the
 * type asked for: a float is not rounded twice. Printing gives the shortest text that reads back as
 * the same value. No call depends on the locale. Pure; any thread. */
#ifndef TENSORD_CODEC_NUMBER_H
#define TENSORD_CODEC_NUMBER_H

#include "base/span.h"

/* What a JSON number says: its value is ±digits × 10^exponent, or a little more when `truncated`.
 */
struct number {
    struct span text; /* the number and nothing else */
    uint64_t digits;  /* the first 19 significant digits */
    int64_t exponent;
    int64_t written_exponent; /* what stands after "e", 0 without one */
    bool negative;
    bool integer;   /* neither a fraction nor an exponent is written */
    bool truncated; /* digits other than 0 were left out of `digits` */
};

/* Reads the number that text starts with, by the grammar of RFC 8259 §6: no sign "+", no leading
 * zero, digits around the point. What follows it is not looked at; ret_number->text is how far it
 * went. False when there is no such number. */
bool number_scan(struct span text, struct number *ret_number);

/* Where the number ends that starts at `at`, by the same grammar; NULL when there is none. */
const char *number_skip(const char *at, const char *end);

/* number_scan and number_to_float in one: takes the number off *text. False, and nothing taken,
 * when either would fail. */
bool number_take_float(struct span *text, float *ret_value);

/* number_take_float again and again, over floats between which stands a comma, or a comma and a
 * blank; takes off *text what was read, without the comma behind it, and writes the floats to `to`,
 * at most `most`. Returns how many: those before the first that number_take_float would not take.
 */
uint64_t number_take_floats(struct span *text, char *to, uint64_t most);

/* The nearest double, or float. False when it is beyond the largest one. What is nearer to zero
 * than to the smallest one is a zero of its sign. */
bool number_to_double(const struct number *number, double *ret_value);
bool number_to_float(const struct number *number, float *ret_value);

/* The integer. False when it is not written as one ("1.0", "1e2") or does not fit. "-0" is 0. */
bool number_to_u64(const struct number *number, uint64_t *ret_value);
bool number_to_i64(const struct number *number, int64_t *ret_value);

/* Room for any number that the calls below print, and for what they write behind it. */
enum { NUMBER_MAX_CHARS = 40 };

/* Prints into `to`, which has NUMBER_MAX_CHARS bytes of room, unterminated; returns how many bytes
 * were used. Floating point numbers must be finite; they always have a fraction or an exponent
 * ("1.0", "1e30"), so that a reader who tells integers apart sees what they are. */
size_t number_print_double(double value, char *to);
size_t number_print_float(float value, char *to);

/* Prints floats, each behind a comma, up to the first that is not finite; returns how many. `to`
 * has room for count × (NUMBER_MAX_CHARS + 1) bytes. */
size_t number_print_floats(const float *values, size_t count, char *to, size_t *ret_size);

size_t number_print_u64(uint64_t value, char *to);
size_t number_print_i64(int64_t value, char *to);

#endif
