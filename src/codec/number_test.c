/* Unit tests of codec/number.h. The C library's strtod and strtof are the reference: slow, exact.
 */
#include "codec/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t random_state = 1;

/* xorshift64: the same numbers in every run. */
static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* The sign of 0 counts. */
static bool same_double(double a, double b)
{
    return a == b && signbit(a) == signbit(b);
}

static bool same_float(float a, float b)
{
    return a == b && signbit(a) == signbit(b);
}

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct number scan(struct span text)
{
    struct number number;
    assert_true(number_scan(text, &number));
    assert_int_equal(number.text.size, text.size);
    return number;
}

/* The text must be read as the C library reads it, to the bit. */
static void assert_reads_as_libc(const char *text)
{
    struct number number = scan(span_of(text));
    double d = 7, d_libc = strtod(text, NULL);
    float f = 7, f_libc = strtof(text, NULL);
    bool d_fits = number_to_double(&number, &d), f_fits = number_to_float(&number, &f);
    if (d_fits == (bool)isinf(d_libc) || (d_fits && !same_double(d, d_libc)))
        fail_msg("%.100s: read %a, libc says %a", text, d, d_libc);
    if (f_fits == (bool)isinf(f_libc) || (f_fits && !same_float(f, f_libc)))
        fail_msg("%.100s: read %a, libc says %a", text, (double)f, (double)f_libc);
}

static void follows_the_grammar(void **state)
{
    const struct {
        const char *text;
        size_t size; /* of the number that it starts with; 0: none */
    } cases[] = {
        {"0", 1},
        {"-0", 2},
        {"10", 2},
        {"1.5", 3},
        {"0.0", 3},
        {"1e5", 3},
        {"1E+5", 4},
        {"1e-05", 5},
        {"12,", 2},
        {"1.25]", 4},
        {"1-2", 1},
        {"1 2", 1},
        {"-1.0e-1x", 7},
        {"", 0},
        {"-", 0},
        {"+1", 0},
        {"01", 0},
        {"-01", 0},
        {"00", 0},
        {".5", 0},
        {"1.", 0},
        {"1.e5", 0},
        {"1e", 0},
        {"1e+", 0},
        {"1e-", 0},
        {"--1", 0},
        {"-a", 0},
        {"NaN", 0},
        {"Infinity", 0},
        {"-Infinity", 0},
        {"0x10", 1},
        {"1_000", 1},
        {"12345678.", 0},
        {"1.1.1", 3},
        {"00.1", 0},
        {"123456789", 9},
        {"0.12345678901", 13},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct number number = {.text.size = 0};
        bool is = number_scan(span_of(cases[i].text), &number);
        if (is != (cases[i].size > 0) || number.text.size != cases[i].size)
            fail_msg("%s: %zu bytes", cases[i].text, number.text.size);
    }
}

static void reads_hard_cases_exactly(void **state)
{
    const char *const texts[] = {
        "0",
        "-0",
        "-0.0",
        "0e999999999999999999999",
        "1",
        "0.1",
        "0.3",
        "3.14159",
        "1e22",
        "1e23",
        "9007199254740993", /* 2^53 + 1: a tie between doubles */
        "9007199254740995",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000001",
        "16777217",
        "16777219",
        "16777217.0000001", /* ties between floats */
        "1.00000005960464477539062500",
        "1.00000005960464477539062501",
        "1.00000005960464477539062499",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272088e-324",
        "1e-324",
        "1e-400",
        "1e-99999999999999999999",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "1e999",
        "1e99999999999999999999",
        "123456789012345678901234567890e300",
        "3.4028234664e38",
        "3.4028235677973366e38",
        "3.4028235677973367e38",
        "3.5e38",
        "1.1754943508222875e-38",
        "1.401298464324817e-45",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
        "1e-46",
        "7.0064923216240853546186479164495e-46",
        "8.5e-117",
        "6.283185307179586476925286766559",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999999999",
        "100000000000000000000000000000000000",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_reads_as_libc(texts[i]);
}

/* A tie of 767 digits, one above it and one below it; and zeros in any amount. */
static void reads_numbers_of_any_length(void **state)
{
    enum { SIZE = 4000 };
    static char text[SIZE];
    snprintf(text, sizeof text, "%.1100f", double_of_bits(1) * 1.0);
    assert_reads_as_libc(text);
    char half[1200];
    snprintf(half, sizeof half, "%.1074f", double_of_bits(0x000fffffffffffff));
    half[strlen(half) - 1] = '2'; /* off by less than any double can tell */
    assert_reads_as_libc(half);
    int size = snprintf(text, sizeof text, "%.1000f", 0x1.0000000000001p-500);
    for (int last = '0'; last <= '9'; last++) {
        text[size - 1] = (char)last;
        assert_reads_as_libc(text);
    }
    /* 2^53 + 1 and then a digit that is far away */
    size = snprintf(text, sizeof text, "9007199254740993.");
    memset(text + size, '0', 3000);
    memcpy(text + size + 3000, "1", sizeof "1");
    assert_reads_as_libc(text);
    text[size + 3000] = '0';
    assert_reads_as_libc(text);
    text[0] = '1';
    memset(text + 1, '0', 3500);
    memcpy(text + 3501, "e-3500", sizeof "e-3500");
    assert_reads_as_libc(text);
    text[0] = '0', text[1] = '.';
    memset(text + 2, '0', 3500);
    memcpy(text + 3502, "5e3501", sizeof "5e3501");
    assert_reads_as_libc(text);
}

static void doubles_round_trip(void **state)
{
    for (int i = 0; i < 300000; i++) {
        double value = double_of_bits(random_bits()), back;
        char text[NUMBER_MAX_CHARS + 1];
        if (!isfinite(value))
            continue;
        size_t size = number_print_double(value, text);
        assert_true(size <= NUMBER_MAX_CHARS);
        text[size] = '\0';
        struct number number = scan((struct span){text, size});
        assert_false(number.integer);
        assert_true(number_to_double(&number, &back));
        if (!same_double(back, value))
            fail_msg("%a printed %s", value, text);
        if (i % 16 == 0 && strtod(text, NULL) != value)
            fail_msg("libc reads %s differently", text);
    }
}

static void floats_round_trip(void **state)
{
    for (int i = 0; i < 700000; i++) {
        float value = float_of_bits((uint32_t)random_bits()), back;
        char text[NUMBER_MAX_CHARS + 1];
        if (!isfinite(value))
            continue;
        size_t size = number_print_float(value, text);
        assert_true(size <= NUMBER_MAX_CHARS);
        text[size] = '\0';
        struct number number = scan((struct span){text, size});
        assert_true(number_to_float(&number, &back));
        if (!same_float(back, value))
            fail_msg("%a printed %s", (double)value, text);
        if (i % 16 == 0 && strtof(text, NULL) != value)
            fail_msg("libc reads %s differently", text);
    }
}

/* Has as few digits as mean the float, and of those of so many digits is the nearest. Not for
 * powers of two: of some, the shortest is no rounding. */
static void assert_shortest_float(float value)
{
    char text[NUMBER_MAX_CHARS + 1], other[64];
    text[number_print_float(value, text)] = '\0';
    for (int digits = 1;; digits++) {
        snprintf(other, sizeof other, "%.*e", digits - 1, (double)value);
        if (strtof(other, NULL) == value)
            break;
    }
    if (strtod(text, NULL) != strtod(other, NULL))
        fail_msg("%a printed %s, %s is better", (double)value, text, other);
}

static void floats_are_shortest_and_nearest(void **state)
{
    for (uint32_t field = 1; field < 255; field++) {
        for (uint32_t bit = 0; bit < 23; bit++) {
            assert_shortest_float(float_of_bits(field << 23 | 1U << bit));
            assert_shortest_float(float_of_bits((field << 23) - (1U << bit)));
        }
    }
    for (int i = 0; i < 50000; i++) {
        uint32_t bits = (uint32_t)random_bits() & INT32_MAX;
        bits &= ~(UINT32_MAX >> (random_bits() & 31)); /* few bits as well */
        if (bits & 0x7fffff && bits > 1U << 23 && bits < 0xffU << 23)
            assert_shortest_float(float_of_bits(bits));
    }
}

static void floats_are_laid_out_as_doubles(void **state)
{
    const struct {
        float value;
        const char *text;
    } cases[] = {
        {0.0F, "0.0"},
        {-0.0F, "-0.0"},
        {1.0F, "1.0"},
        {-2.0F, "-2.0"},
        {10.0F, "10.0"},
        {0.5F, "0.5"},
        {0.01F, "0.01"},
        {123.456F, "123.456"},
        {-0.000001F, "-0.000001"},
        {1.5e-6F, "0.0000015"},
        {9.9e-7F, "9.9e-7"},
        {1e-10F, "1e-10"},
        {16777216.0F, "16777216.0"},
        {12345678.0F, "12345678.0"},
        {123456792.0F, "123456790.0"},
        {1e9F, "1000000000.0"},
        {1e20F, "100000000000000000000.0"},
        {1e21F, "1e21"},
        {-1.25e30F, "-1.25e30"},
        {0x1p-126F, "1.1754944e-38"},
        {0x1p-149F, "1e-45"},
        {0x1p127F, "1.7014118e38"},
        {0x1p-127F, "5.877472e-39"},
        {0x1p-96F, "1.2621775e-29"},
        {0.3F, "0.3"},
        {8388608.5F, "8388608.0"},
        {99999999.0F, "100000000.0"},
        {255.0F, "255.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_MAX_CHARS + 1];
        text[number_print_float(cases[i].value, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void many_floats_print_as_one_by_one(void **state)
{
    enum { COUNT = 1000 };
    static float values[COUNT];
    static char text[COUNT * (NUMBER_MAX_CHARS + 1)];
    for (int i = 0; i < COUNT; i++)
        values[i] = float_of_bits((uint32_t)random_bits());
    for (size_t start = 0; start < COUNT; start++) {
        size_t size, at = 0;
        size_t count = number_print_floats(values + start, COUNT - start, text, &size);
        assert_true(start + count == COUNT || !isfinite(values[start + count]));
        for (size_t i = start; i < start + count; i++) {
            char one[NUMBER_MAX_CHARS];
            size_t length = number_print_float(values[i], one);
            assert_int_equal(text[at], ',');
            assert_memory_equal(text + at + 1, one, length);
            at += 1 + length;
        }
        assert_int_equal(at, size);
        start += count;
    }
}

/* number_take_floats in terms of number_take_float. */
static void assert_takes_as_one_by_one(struct span text, uint64_t most)
{
    float at_once[16] = {0}, value;
    struct span rest = text, expected = text, next = text;
    uint64_t count = number_take_floats(&rest, (char *)at_once, most), i = 0;
    while (i < most && number_take_float(&next, &value)) {
        if (i >= count || !same_float(at_once[i], value))
            fail_msg("%.*s: number %u is %a", SPAN_ARGS(text), (unsigned)i, (double)value);
        i++;
        expected = next;
        if (next.size < 2 || *next.data != ',')
            break;
        next = span_after(next, 1 + (next.data[1] == ' '));
    }
    assert_int_equal(count, i);
    assert_ptr_equal(rest.data, expected.data);
    assert_int_equal(rest.size, expected.size);
}

static void many_floats_are_taken_as_one_by_one(void **state)
{
    static const char *const texts[] = {
        "1,2.5, -3.25,  4",
        "0.1,-0.0,0,-0,1e5,2",
        "0.12345678,0.1234567890123456,0.12345678901234567,0.1234567890123456789012,5",
        "12345678901234567890,1234567890123456789,99999999999999999999.5,0.00000000000000000000001",
        "3.4028235677973366e38,1e-45,1",
        "340282346638528859811704183484516925440.0,340282356779733661637539395458142568448",
        "16777217,16777219,16777217.0000001,1.0000000596046448,1.00000005960464477539062501",
        "0.5,01,2",
        "0.5,1.,2",
        "0.5,.5",
        "0.5,-,2",
        "1,2,",
        "1,2]",
        "1 ,2",
        "-1.5,--1",
        "0.0000000000000000000000000000000000000000000001,0.00000000000000000000000000000000000001",
        "1.17549435e-38,0.0000000000000000000000000000000000000117549435",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t size = 0; size <= strlen(texts[i]); size++) {
            char *cut = malloc(size + 1); /* of its size, so that a sanitizer sees reading beyond */
            assert_non_null(cut);
            memcpy(cut + 1, texts[i], size);
            assert_takes_as_one_by_one((struct span){cut + 1, size}, 16);
            assert_takes_as_one_by_one((struct span){cut + 1, size}, 2);
            free(cut);
        }
    }
    for (int i = 0; i < 100000; i++) {
        char text[128];
        int size =
            snprintf(text, sizeof text, "%.*f,%.*g, %.*g,%d", i % 20,
                     (double)(random_bits() >> 40) * 0x1p-20, i % 19 + 1,
                     (double)float_of_bits((uint32_t)random_bits() & ~(1U << 30)), 9,
                     (double)float_of_bits((uint32_t)random_bits() >> 2), (int)random_bits());
        assert_takes_as_one_by_one((struct span){text, (size_t)size}, 16);
    }
}

static void reads_what_printf_writes(void **state)
{
    for (int i = 0; i < 20000; i++) {
        double value = double_of_bits(random_bits());
        double near_float = (double)float_of_bits((uint32_t)random_bits());
        char text[64];
        if (!isfinite(value) || !isfinite(near_float))
            continue;
        snprintf(text, sizeof text, "%.17g", value);
        assert_reads_as_libc(text);
        snprintf(text, sizeof text, "%.25g", near_float * (1 + 0x1p-25));
        assert_reads_as_libc(text);
        snprintf(text, sizeof text, "%llu.%llue-%d", (unsigned long long)random_bits(),
                 (unsigned long long)random_bits(), i % 360);
        assert_reads_as_libc(text);
    }
}

/* No text of fewer digits may mean the same value. */
static void prints_the_shortest(void **state)
{
    for (int i = 0; i < 20000; i++) {
        double value = double_of_bits(random_bits() & ~(UINT64_MAX >> (random_bits() & 63)));
        char text[NUMBER_MAX_CHARS + 1], shorter[64];
        if (!isfinite(value) || value == 0)
            continue;
        text[number_print_double(value, text)] = '\0';
        int digits = 0, zeros = 0;
        for (const char *c = text; *c && *c != 'e'; c++) {
            if (*c < '0' || *c > '9' || (*c == '0' && digits == 0))
                continue;
            digits++;
            zeros = *c == '0' ? zeros + 1 : 0;
        }
        if (digits - zeros < 2)
            continue;
        snprintf(shorter, sizeof shorter, "%.*e", digits - zeros - 2, value);
        if (strtod(shorter, NULL) == value)
            fail_msg("%s is shorter than %s", shorter, text);
    }
}

static void prints_as_people_write(void **state)
{
    const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {100.0, "100.0"},
        {123456.789, "123456.789"},
        {1e20, "100000000000000000000.0"},
        {1e21, "1e21"},
        {1.25e22, "1.25e22"},
        {1e-6, "0.000001"},
        {1.5e-7, "1.5e-7"},
        {1e23, "1e23"},
        {9007199254740993.0, "9007199254740992.0"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {-1.7976931348623157e308, "-1.7976931348623157e308"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_MAX_CHARS + 1];
        text[number_print_double(cases[i].value, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
    char text[NUMBER_MAX_CHARS + 1];
    text[number_print_float(0.1f, text)] = '\0';
    assert_string_equal(text, "0.1");
    text[number_print_float(3.4028235e38f, text)] = '\0';
    assert_string_equal(text, "3.4028235e38");
    text[number_print_float(1e-45f, text)] = '\0';
    assert_string_equal(text, "1e-45");
}

static void integers_keep_to_their_range(void **state)
{
    const struct {
        const char *text;
        bool is_i64, is_u64;
        int64_t i64;
        uint64_t u64;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"-0", true, true, 0, 0},
        {"42", true, true, 42, 42},
        {"-1", true, false, -1, 0},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", false, true, 0, (uint64_t)INT64_MAX + 1},
        {"-9223372036854775808", true, false, INT64_MIN, 0},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", false, true, 0, UINT64_MAX},
        {"18446744073709551616", false, false, 0, 0},
        {"10000000000000000000", false, true, 0, UINT64_C(10000000000000000000)},
        {"99999999999999999999999999", false, false, 0, 0},
        {"1.0", false, false, 0, 0},
        {"1e2", false, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct number number = scan(span_of(cases[i].text));
        int64_t i64 = 0;
        uint64_t u64 = 0;
        assert_int_equal(number_to_i64(&number, &i64), cases[i].is_i64);
        assert_int_equal(number_to_u64(&number, &u64), cases[i].is_u64);
        assert_true(i64 == cases[i].i64 && u64 == cases[i].u64);
    }
}

static void integers_round_trip(void **state)
{
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_bits() >> (random_bits() & 63), u64;
        int64_t i64;
        char text[NUMBER_MAX_CHARS];
        struct number number = scan((struct span){text, number_print_u64(value, text)});
        assert_true(number_to_u64(&number, &u64) && u64 == value);
        number = scan((struct span){text, number_print_i64((int64_t)value, text)});
        assert_true(number_to_i64(&number, &i64) && i64 == (int64_t)value);
    }
    char text[NUMBER_MAX_CHARS + 1];
    text[number_print_i64(INT64_MIN, text)] = '\0';
    assert_string_equal(text, "-9223372036854775808");
}

/* What is skipped, and what is taken, ends where a whole reading does, at every length. */
static void skipping_and_taking_agree_with_reading(void **state)
{
    static const char *const texts[] = {"-12.5e-3,",
                                        "0.123456789012345678901234567890]",
                                        "1e400 ",
                                        "01",
                                        "-",
                                        "1.",
                                        "1.e5",
                                        "1e",
                                        "1e+",
                                        ".5",
                                        "x",
                                        "3.4028235677973366e38",
                                        "3.4028235677973367e38",
                                        "7",
                                        "12345678901234567890123.000000001e-30"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t size = 0; size <= strlen(texts[i]); size++) {
            struct span text = {texts[i], size}, rest = text;
            struct number number;
            float read = 0, taken = 0;
            bool scanned = number_scan(text, &number);
            const char *end = number_skip(text.data, text.data + size);
            assert_ptr_equal(end, scanned ? number.text.data + number.text.size : NULL);
            bool good = scanned && number_to_float(&number, &read);
            assert_int_equal(number_take_float(&rest, &taken), good);
            assert_ptr_equal(rest.data, good ? end : text.data);
            assert_memory_equal(&read, &taken, sizeof read);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skipping_and_taking_agree_with_reading),
        cmocka_unit_test(follows_the_grammar),
        cmocka_unit_test(reads_hard_cases_exactly),
        cmocka_unit_test(reads_numbers_of_any_length),
        cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(floats_are_shortest_and_nearest),
        cmocka_unit_test(floats_are_laid_out_as_doubles),
        cmocka_unit_test(many_floats_print_as_one_by_one),
        cmocka_unit_test(many_floats_are_taken_as_one_by_one),
        cmocka_unit_test(reads_what_printf_writes),
        cmocka_unit_test(prints_the_shortest),
        cmocka_unit_test(prints_as_people_write),
        cmocka_unit_test(integers_keep_to_their_range),
        cmocka_unit_test(integers_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
