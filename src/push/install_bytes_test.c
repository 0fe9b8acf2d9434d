/* Unit tests of push/install_bytes.h: there and back, and nothing else. */
#include "push/install_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct manifest_file files[] = {
    {.path = {"a/b", 3}, .size_bytes = 7},
    {.path = {"c", 1}, .size_bytes = INT64_MAX},
};

static struct manifest example(void)
{
    for (size_t i = 0; i < 2; i++) {
        memset(files[i].digest.text, 'a' + (char)i, DIGEST_CHARS);
        files[i].digest.text[DIGEST_CHARS] = '\0';
    }
    return (struct manifest){.files = files, .count = 2, .has_version = true, .version = 9};
}

static void same(const struct manifest *a, const struct manifest *b)
{
    assert_int_equal(a->has_version, b->has_version);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(span_equal(a->files[i].path, b->files[i].path));
        assert_true(digest_equal(&a->files[i].digest, &b->files[i].digest));
        assert_int_equal(a->files[i].size_bytes, b->files[i].size_bytes);
    }
}

static void a_question_comes_back(void **state)
{
    struct arena arena;
    struct buf buf;
    struct install_question back, question = {.kind = INSTALL_PUT,
                                              .blobs = SPAN("/state/blobs"),
                                              .name = SPAN("iris"),
                                              .may_bring_code = true,
                                              .manifest = example()};
    arena_init(&arena, 1024, 1 << 20);
    buf_init(&buf, 1 << 20);
    install_question_write(&question, &buf);
    assert_true(install_question_read(buf_span(&buf), &arena, &back));
    assert_int_equal(back.kind, INSTALL_PUT);
    assert_true(span_equal(back.blobs, question.blobs) && span_equal(back.name, question.name));
    assert_true(back.may_bring_code);
    same(&back.manifest, &question.manifest);
    for (size_t size = 0; size < buf.size; size++)
        assert_false(install_question_read((struct span){buf.data, size}, &arena, &back));
    buf_append_char(&buf, 'x');
    assert_false(install_question_read(buf_span(&buf), &arena, &back));
    buf_fini(&buf);
    arena_fini(&arena);
}

static void an_answer_comes_back(void **state)
{
    struct arena arena;
    struct buf buf;
    struct install_answer back, answer = {.version = 3, .unchanged = true, .listed = example()};
    arena_init(&arena, 1024, 1 << 20);
    buf_init(&buf, 1 << 20);
    error_set(&answer.error, ERROR_NO_SPACE, "full");
    install_answer_write(&answer, &buf);
    assert_true(install_answer_read(buf_span(&buf), &arena, &back));
    assert_int_equal(back.error.code, ERROR_NO_SPACE);
    assert_string_equal(back.error.message, "full");
    assert_int_equal(back.version, 3);
    assert_true(back.unchanged);
    same(&back.listed, &answer.listed);
    for (size_t size = 0; size < buf.size; size++)
        assert_false(install_answer_read((struct span){buf.data, size}, &arena, &back));
    buf_fini(&buf);
    arena_fini(&arena);
}

/* It lies where the answer will: whoever is killed before that has answered nothing. */
static void a_question_is_no_answer(void **state)
{
    struct arena arena;
    struct install_question question = {.kind = INSTALL_TIDY};
    struct install_answer answer;
    arena_init(&arena, 1024, 1 << 20);
    for (; question.kind < INSTALL_KINDS; question.kind++) {
        struct buf buf;
        buf_init(&buf, 1 << 20);
        install_question_write(&question, &buf);
        assert_false(install_answer_read(buf_span(&buf), &arena, &answer));
        buf_fini(&buf);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_comes_back),
        cmocka_unit_test(an_answer_comes_back),
        cmocka_unit_test(a_question_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
