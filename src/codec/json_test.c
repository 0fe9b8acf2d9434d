/* Unit tests of codec/json.h. */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Checks a whole text by json_skip. */
static bool accepts(struct span text, struct error *error)
{
    struct json json;
    json_init(&json, text, JSON_MAX_DEPTH, NULL, error);
    bool skipped = json_skip(&json, NULL);
    bool ended = json_end(&json);
    assert_int_equal(ended, json_ok(&json));
    return skipped && ended;
}

static void accepts_what_is_json(void **state)
{
    const struct span good[] = {
        SPAN("0"),
        SPAN("-0"),
        SPAN("1.5e-3"),
        SPAN("1E400"),
        SPAN("123456789012345678901234567890"),
        SPAN("true"),
        SPAN("false"),
        SPAN("null"),
        SPAN("\"\""),
        SPAN("[]"),
        SPAN("{}"),
        SPAN(" \t\r\n[ \t\r\n1 , 2 ] \t\r\n"),
        SPAN("[[],[[]],{}]"),
        SPAN("{\"\":0}"),
        SPAN("{\"a\":{\"b\":[1,{\"c\":null}]},\"a\":2}"),
        SPAN("{ \"a\" : 1 , \"b\" : [ ] }"),
        SPAN("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\""),
        SPAN("\"\\uD83D\\uDE00\""),
        SPAN("\"\\u0000\""),
        SPAN("{\"\\u0000\":1}"),
        SPAN("\"\\uFFFF\\uFDD0\""),
        SPAN("\"\x7f\""),
        SPAN("\"\xc2\x80\xe2\x82\xac\xf4\x8f\xbf\xbf\""),
        SPAN("\"/*#\""),
        SPAN("[\"\xe2\x80\xa8\"]"),
        SPAN("[1,2,3]"),
        SPAN("[null,true,false,\"\"]"),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct error error;
        if (!accepts(good[i], &error))
            fail_msg("%.*s: %s", SPAN_ARGS(good[i]), error.message);
    }
}

static void refuses_what_is_not(void **state)
{
    const struct {
        struct span text;
        const char *sentence;
    } bad[] = {
        {SPAN(""), "expected a value at byte 0, where the text ends"},
        {SPAN("  "), "expected a value at byte 2, where the text ends"},
        {SPAN("[1,2"), "expected ',' or ']' at byte 4, where the text ends"},
        {SPAN("[1 2]"), "expected ',' or ']' at byte 3"},
        {SPAN("[1}"), "expected ',' or ']' at byte 2"},
        {SPAN("[1,]"), "expected a value at byte 3"},
        {SPAN("[,1]"), "expected a value at byte 1"},
        {SPAN("[1,,2]"), "expected a value at byte 3"},
        {SPAN("[]]"), "expected nothing more at byte 2"},
        {SPAN("]"), "expected a value at byte 0"},
        {SPAN("1 2"), "expected nothing more at byte 2"},
        {SPAN("{}{}"), "expected nothing more at byte 2"},
        {SPAN("[] x"), "expected nothing more at byte 3"},
        {SPAN("[]\0"), "expected nothing more at byte 2"},
        {SPAN("{"), "expected a key at byte 1, where the text ends"},
        {SPAN("{,}"), "expected a key at byte 1"},
        {SPAN("{1:2}"), "expected a key at byte 1"},
        {SPAN("{a:1}"), "expected a key at byte 1"},
        {SPAN("{'a':1}"), "expected a key at byte 1"},
        {SPAN("{\"a\"}"), "expected ':' at byte 4"},
        {SPAN("{\"a\" 1}"), "expected ':' at byte 5"},
        {SPAN("{\"a\":}"), "expected a value at byte 5"},
        {SPAN("{\"a\":1,}"), "expected a key at byte 7"},
        {SPAN("{\"a\":1 \"b\":2}"), "expected ',' or '}' at byte 7"},
        {SPAN("{\"a\":1]"), "expected ',' or '}' at byte 6"},
        {SPAN("{\"a\"::1}"), "expected a value at byte 5"},
        {SPAN("01"), "malformed number at byte 0"},
        {SPAN("[-]"), "malformed number at byte 1"},
        {SPAN("[1.]"), "malformed number at byte 1"},
        {SPAN("[.5]"), "expected a value at byte 1"},
        {SPAN("[+1]"), "expected a value at byte 1"},
        {SPAN("[1e]"), "malformed number at byte 1"},
        {SPAN("[0x1]"), "expected ',' or ']' at byte 2"},
        {SPAN("[1a]"), "expected ',' or ']' at byte 2"},
        {SPAN("[NaN]"), "expected a value at byte 1"},
        {SPAN("[Infinity]"), "expected a value at byte 1"},
        {SPAN("[-Infinity]"),
         "expected a number (JSON has no NaN, no Infinity: send binary data) at byte 1"},
        {SPAN("tru"), "expected true or false at byte 0"},
        {SPAN("truth"), "expected true or false at byte 0"},
        {SPAN("TRUE"), "expected a value at byte 0"},
        {SPAN("nul"), "expected null at byte 0"},
        {SPAN("nullx"), "expected nothing more at byte 4"},
        {SPAN("\""), "expected '\"' at byte 1, where the text ends"},
        {SPAN("\"a"), "expected '\"' at byte 2, where the text ends"},
        {SPAN("'a'"), "expected a value at byte 0"},
        {SPAN("\"a\nb\""), "control character in a string at byte 2"},
        {SPAN("\"\0\""), "control character in a string at byte 1"},
        {SPAN("\"\x1f\""), "control character in a string at byte 1"},
        {SPAN("\"\\\""), "expected '\"' at byte 3, where the text ends"},
        {SPAN("\"\\x41\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\'\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\\0\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\u12\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\u12g4\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\U0041\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uD800\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uDC00\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uD800\\u0041\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uD800\\uD800\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uDE00\\uD83D\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\\uD83D\\n\""), "malformed escape in a string at byte 1"},
        {SPAN("\"\xff\""), "malformed UTF-8 at byte 1"},
        {SPAN("\"\xc0\x80\""), "malformed UTF-8 at byte 1"},
        {SPAN("\"a\xed\xa0\x80\""), "malformed UTF-8 at byte 2"},
        {SPAN("\"\xe2\x82\""), "malformed UTF-8 at byte 1"},
        {SPAN("\xef\xbb\xbf[]"), "expected a value at byte 0"},
        {SPAN("[\f1]"), "expected a value at byte 1"},
        {SPAN("[\xc2\xa0"
              "1]"),
         "expected a value at byte 1"},
        {SPAN("[1] // no"), "expected nothing more at byte 4"},
        {SPAN("/**/1"), "expected a value at byte 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {.code = ERROR_OK};
        if (accepts(bad[i].text, &error))
            fail_msg("%.*s was accepted", SPAN_ARGS(bad[i].text));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        if (strcmp(error.message, bad[i].sentence) != 0)
            fail_msg("%.*s: %s", SPAN_ARGS(bad[i].text), error.message);
    }
}

static void bounds_the_depth(void **state)
{
    enum { DEEP = 250000 };
    struct error error;
    char *text = malloc(DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    assert_false(accepts((struct span){text, DEEP}, &error));
    assert_string_equal(error.message, "nested deeper than 64 at byte 64");
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_true(accepts((struct span){text, 2 * JSON_MAX_DEPTH}, &error));
    for (int i = 0; i < DEEP / 5; i++)
        memcpy(text + 5 * i, (const char[]){'{', '"', '"', ':', '['}, 5);
    assert_false(accepts((struct span){text, DEEP}, &error));
    free(text);

    struct json json;
    json_init(&json, SPAN("[[1]]"), 1, NULL, &error);
    assert_false(json_skip(&json, NULL));
    assert_string_equal(error.message, "nested deeper than 1 at byte 1");
}

struct numbers {
    int64_t i;
    uint64_t u;
    double d;
};

/* Reads the document below by the typed calls. */
static bool read_document(struct span text, struct arena *arena, struct numbers *ret_numbers,
                          struct error *error)
{
    struct json json;
    struct span key, s, rest;
    bool b;
    json_init(&json, text, JSON_MAX_DEPTH, arena, error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("string"))) {
            if (json_string(&json, &s))
                assert_true(span_equal(s, SPAN("a\xe2\x82\xac\n\xf0\x9f\x98\x80z")));
        } else if (span_equal(key, SPAN("n\xc3\xbcll"))) {
            json_null(&json);
        } else if (span_equal(key, SPAN("numbers"))) {
            json_enter_array(&json);
            if (json_next_element(&json))
                json_i64(&json, &ret_numbers->i);
            if (json_next_element(&json))
                json_u64(&json, &ret_numbers->u);
            if (json_next_element(&json))
                json_double(&json, &ret_numbers->d);
            assert_false(json_next_element(&json));
        } else if (span_equal(key, SPAN("true"))) {
            if (json_bool(&json, &b))
                assert_true(b);
        } else if (json_skip(&json, &rest)) {
            assert_true(span_equal(key, SPAN("rest")));
            assert_true(span_equal(rest, SPAN("{\"x\": [1, [2], \"]}\"], \"y\": {}}")));
        }
    }
    return json_end(&json);
}

static const char document[] =
    "{\"string\": \"a\\u20ac\\n\\ud83d\\ude00z\", \"n\\u00fcll\" : null, \"numbers\": [-5, "
    "18446744073709551615, 2.5e-1], \"true\": true, "
    "\"rest\": {\"x\": [1, [2], \"]}\"], \"y\": {}}} ";

static struct span whole_document(void)
{
    return (struct span){document, sizeof document - 1};
}

static void reads_each_kind(void **state)
{
    struct arena arena;
    struct error error = {.message = ""};
    arena_init(&arena, 256, 4096);
    struct numbers numbers;
    if (!read_document(whole_document(), &arena, &numbers, &error))
        fail_msg("%s", error.message);
    assert_true(numbers.i == -5 && numbers.u == UINT64_MAX && numbers.d == 0.25);
    arena_fini(&arena);
}

static void fails_when_cut_at_any_byte(void **state)
{
    struct span text = whole_document();
    for (size_t size = 0; size < text.size - 1; size++) { /* its last byte is a blank */
        struct arena arena;
        struct numbers numbers;
        struct error error = {.code = ERROR_OK};
        char *cut = malloc(size ? size : 1); /* of exact size, for the sanitizer */
        assert_non_null(cut);
        memcpy(cut, text.data, size);
        arena_init(&arena, 256, 4096);
        assert_false(read_document((struct span){cut, size}, &arena, &numbers, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, " at byte "));
        assert_false(accepts((struct span){cut, size}, &error));
        arena_fini(&arena);
        free(cut);
    }
}

/* Whatever a byte is changed to: skipping and visiting agree whether it is JSON. */
static void skipping_checks_what_visiting_checks(void **state)
{
    struct span text = whole_document();
    struct arena arena;
    arena_init(&arena, 4096, 1 << 20);
    char *copy = malloc(text.size);
    assert_non_null(copy);
    for (size_t at = 0; at < text.size; at++) {
        for (int c = 0; c < 256; c += 3) {
            struct error error;
            struct json json;
            struct span key;
            memcpy(copy, text.data, text.size);
            copy[at] = (char)c;
            struct span changed = {copy, text.size};
            json_init(&json, changed, JSON_MAX_DEPTH, &arena, &error);
            json_enter_object(&json);
            while (json_next_key(&json, &key))
                json_skip(&json, NULL);
            assert_int_equal(json_end(&json), accepts(changed, &error));
        }
    }
    arena_fini(&arena);
    free(copy);
}

static void the_first_error_stays(void **state)
{
    struct json json;
    struct error error;
    int64_t value = 7;
    json_init(&json, SPAN("[true, 2]"), JSON_MAX_DEPTH, NULL, &error);
    json_enter_array(&json);
    json_next_element(&json);
    assert_false(json_i64(&json, &value));
    assert_string_equal(error.message, "expected a number at byte 1");
    assert_false(json_next_element(&json));
    assert_false(json_skip(&json, NULL));
    assert_false(json_fail(&json, "another"));
    assert_false(json_end(&json));
    assert_int_equal(json_peek(&json), JSON_NONE);
    assert_int_equal(value, 7);
    assert_string_equal(error.message, "expected a number at byte 1");
}

static void typed_calls_say_what_they_want(void **state)
{
    struct json json;
    struct error error;
    struct span s;
    int64_t i;
    uint64_t u;
    double d;
    bool b;
#define EXPECT(text, call, sentence)                                                               \
    json_init(&json, SPAN(text), JSON_MAX_DEPTH, NULL, &error);                                    \
    assert_false(call);                                                                            \
    assert_string_equal(error.message, sentence)
    EXPECT(" 1", json_string(&json, &s), "expected a string at byte 1");
    EXPECT(" 1", json_bool(&json, &b), "expected true or false at byte 1");
    EXPECT(" 1", json_null(&json), "expected null at byte 1");
    EXPECT(" 1", json_enter_array(&json), "expected an array at byte 1");
    EXPECT(" 1", json_enter_object(&json), "expected an object at byte 1");
    EXPECT("null", json_double(&json, &d), "expected a number at byte 0");
    EXPECT(" 1e999", json_double(&json, &d),
           "expected a number within the range of a double at byte 1");
    EXPECT("NaN", json_double(&json, &d),
           "expected a number (JSON has no NaN, no Infinity: send binary data) at byte 0");
    EXPECT("1.0", json_i64(&json, &i), "expected an integer of 64 bits at byte 0");
    EXPECT("9223372036854775808", json_i64(&json, &i), "expected an integer of 64 bits at byte 0");
    EXPECT("-1", json_u64(&json, &u), "expected a non-negative integer of 64 bits at byte 0");
#undef EXPECT
}

static void nul_is_refused_unless_asked_for(void **state)
{
    struct arena arena;
    struct json json;
    struct error error;
    struct span s;
    arena_init(&arena, 256, 4096);
    json_init(&json, SPAN("\"a\\u0000b\""), JSON_MAX_DEPTH, &arena, &error);
    assert_false(json_string(&json, &s));
    assert_string_equal(error.message, "\\u0000 in a string at byte 1");
    json_init(&json, SPAN("\"a\\u0000b\""), JSON_MAX_DEPTH, &arena, &error);
    assert_true(json_string_with_nul(&json, &s));
    assert_true(span_equal(s, SPAN("a\0b")));
    json_init(&json, SPAN("{\"\\u0000\":1}"), JSON_MAX_DEPTH, &arena, &error);
    assert_true(json_enter_object(&json));
    assert_false(json_next_key(&json, &s));
    assert_string_equal(error.message, "\\u0000 in a key at byte 2");
    arena_fini(&arena);
}

static void strings_without_escapes_stay_in_place(void **state)
{
    const struct span text = SPAN("[\"\", \"gr\xc3\xbc\xc3\x9f\"]");
    struct json json;
    struct error error;
    struct span s = {0};
    json_init(&json, text, JSON_MAX_DEPTH, NULL, &error);
    json_enter_array(&json);
    assert_true(json_next_element(&json) && json_string(&json, &s));
    assert_int_equal(s.size, 0);
    assert_true(json_next_element(&json) && json_string(&json, &s));
    assert_ptr_equal(s.data, text.data + 6);
    assert_false(json_next_element(&json));
    assert_true(json_end(&json));
}

static void a_string_needs_room_to_be_unescaped(void **state)
{
    struct arena arena;
    struct json json;
    struct error error;
    struct span s;
    arena_init(&arena, 16, 16);
    json_init(&json, SPAN("\"\\n0123456789abcdef\""), JSON_MAX_DEPTH, &arena, &error);
    assert_false(json_string(&json, &s));
    assert_int_equal(error.code, ERROR_RESOURCE_EXHAUSTED);
    assert_false(json_ok(&json));
    arena_fini(&arena);
}

static void a_skipped_value_is_read_later(void **state)
{
    struct json json, later;
    struct error error;
    struct span value = {NULL, 0}, key;
    int64_t i;
    json_init(&json, SPAN("{\"v\": [1, true], \"w\": 2}"), JSON_MAX_DEPTH, NULL, &error);
    assert_true(json_enter_object(&json) && json_next_key(&json, &key) && json_skip(&json, &value));
    json_init_value(&later, &json, value);
    assert_true(json_enter_array(&later) && json_next_element(&later) && json_i64(&later, &i));
    assert_true(json_next_element(&later));
    assert_false(json_i64(&later, &i));
    assert_string_equal(error.message, "expected a number at byte 10"); /* of the whole text */
    assert_true(json_ok(&json) && json_next_key(&json, &key) && json_i64(&json, &i));
    assert_false(json_next_key(&json, &key));
    assert_true(json_end(&json));
}

struct sum {
    struct json json;
    uint64_t sum;
    unsigned members;
};

static bool add_member(void *context, struct span key)
{
    struct sum *sum = context;
    uint64_t value;
    sum->members++;
    if (!json_u64(&sum->json, &value))
        return false;
    sum->sum += value;
    return true;
}

static void an_object_is_read_by_its_members(void **state)
{
    struct error error;
    struct sum sum = {.sum = 0};
    assert_true(json_read_object(&sum.json, SPAN(" {\"a\": 1, \"b\": 2} "), NULL, &error,
                                 add_member, &sum));
    assert_int_equal(sum.sum, 3);
    assert_true(json_read_object(&sum.json, SPAN("{}"), NULL, &error, add_member, &sum));
    assert_int_equal(sum.members, 2);
    assert_false(json_read_object(&sum.json, SPAN("{\"a\": true, \"b\": 2}"), NULL, &error,
                                  add_member, &sum));
    assert_int_equal(sum.members, 3); /* the first failure ends it */
    assert_false(json_read_object(&sum.json, SPAN("{\"a\": 1} 2"), NULL, &error, add_member, &sum));
    assert_false(json_read_object(&sum.json, SPAN("[]"), NULL, &error, add_member, &sum));
    assert_int_equal(sum.members, 4);
}

/* What json_skip accepts ends where it ends; of the rest, arrays without strings alone pass. */
static void skipping_unread_agrees_with_skipping(void **state)
{
    static char large[30000];
    const struct {
        struct span text;
        size_t size; /* of the value; 0: it fails */
    } cases[] = {
        {SPAN("[1,2]x"), 5},
        {SPAN(" [[1,2],[3]] ,"), 12},
        {SPAN("[]"), 2},
        {SPAN("[\"]\",1]"), 7},
        {SPAN("[[1],\"[\",[2]]"), 13},
        {SPAN("[[],{\"a\":[]}]"), 13},
        {SPAN("12,"), 2},
        {SPAN("\"a]\""), 4},
        {SPAN("{\"a\":[1]}]"), 9},
        {SPAN("[1,x],"), 5}, /* its reader's business */
        {SPAN("[{1}],"), 5},
        {SPAN("[\"]"), 0},
        {SPAN("[1,[2]"), 0},
        {SPAN("]"), 0},
        {SPAN("["), 0},
        {SPAN(""), 0},
        {{large, sizeof large - 1}, sizeof large - 1},
        {{large, sizeof large - 2}, 0},
    };
    memset(large, ' ', sizeof large);
    memset(large, '[', 20);
    memset(large + sizeof large - 21, ']', 21);
    /* Across a block's edge. NOLINTNEXTLINE(bugprone-not-null-terminated-result): no string */
    memcpy(large + 8190, "[[],[]]", 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json;
        struct error error;
        struct span value = SPAN("");
        json_init(&json, cases[i].text, JSON_MAX_DEPTH, NULL, &error);
        assert_int_equal(json_skip_unread(&json, &value), cases[i].size > 0);
        assert_int_equal(json_ok(&json), cases[i].size > 0);
        if (!cases[i].size)
            continue;
        assert_int_equal(json.at - json.start, cases[i].size);
        assert_ptr_equal(value.data + value.size, json.at);
        assert_false(*value.data == ' ');
    }
}

static void peek_tells_the_kind(void **state)
{
    const struct {
        struct span text;
        enum json_kind kind;
    } cases[] = {
        {SPAN(" {"), JSON_OBJECT}, {SPAN("["), JSON_ARRAY},  {SPAN("\""), JSON_STRING},
        {SPAN("-"), JSON_NUMBER},  {SPAN("9"), JSON_NUMBER}, {SPAN("t"), JSON_BOOL},
        {SPAN("f"), JSON_BOOL},    {SPAN("n"), JSON_NULL},   {SPAN("]"), JSON_NONE},
        {SPAN(""), JSON_NONE},     {SPAN("N"), JSON_NONE},   {{NULL, 0}, JSON_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json;
        struct error error;
        json_init(&json, cases[i].text, JSON_MAX_DEPTH, NULL, &error);
        assert_int_equal(json_peek(&json), cases[i].kind);
        assert_true(json_ok(&json));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_json),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(reads_each_kind),
        cmocka_unit_test(fails_when_cut_at_any_byte),
        cmocka_unit_test(skipping_checks_what_visiting_checks),
        cmocka_unit_test(the_first_error_stays),
        cmocka_unit_test(typed_calls_say_what_they_want),
        cmocka_unit_test(nul_is_refused_unless_asked_for),
        cmocka_unit_test(strings_without_escapes_stay_in_place),
        cmocka_unit_test(a_string_needs_room_to_be_unescaped),
        cmocka_unit_test(a_skipped_value_is_read_later),
        cmocka_unit_test(an_object_is_read_by_its_members),
        cmocka_unit_test(skipping_unread_agrees_with_skipping),
        cmocka_unit_test(peek_tells_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
