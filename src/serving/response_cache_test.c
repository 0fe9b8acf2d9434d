/* Unit tests of serving/response_cache.h: what is found again, what goes first, and that no more is
 * held than the limit says. */
#include "serving/response_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIMIT = 64 << 10, ENTRY_LIMIT = 8 << 10, KEYS = 200 };

struct fixture {
    struct response_cache cache;
    struct list owner, other;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    response_cache_init(&f->cache, LIMIT, ENTRY_LIMIT);
    list_init(&f->owner);
    list_init(&f->other);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    response_cache_fini(&f->cache);
    assert_int_equal(f->cache.bytes, 0);
    free(f);
    return 0;
}

static struct siphash_value key_of(uint64_t number)
{
    return (struct siphash_value){{number, ~number}};
}

/* Two outputs: the number, and `size` bytes of it. */
static enum cache_verdict keep_in(struct fixture *f, struct list *owner, uint64_t number,
                                  size_t size)
{
    static const struct tensor_info infos[2] = {{.name = {"a", 1}}, {.name = {"b", 1}}};
    static char bytes[2 * ENTRY_LIMIT];
    memset(bytes, (char)number, size);
    const struct inference_output items[2] = {
        {&infos[0], TENSORD_UINT64, {0}, {(const char *)&number, sizeof number}},
        {&infos[1], TENSORD_UINT8, {1, {(int64_t)size}}, {size ? bytes : NULL, size}},
    };
    struct siphash_value key = key_of(number);
    return response_cache_keep(&f->cache, owner, &key, &(struct inference_outputs){items, 2});
}

static enum cache_verdict keep(struct fixture *f, uint64_t number, size_t size)
{
    return keep_in(f, &f->owner, number, size);
}

static struct cached_response *find(struct fixture *f, uint64_t number)
{
    struct siphash_value key = key_of(number);
    return response_cache_find(&f->cache, &key);
}

static bool has(struct fixture *f, uint64_t number)
{
    struct cached_response *found = find(f, number);
    response_cache_return(found);
    return found != NULL;
}

static void what_was_kept_is_found_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(keep(f, 7, 1000), CACHE_KEPT);
    assert_int_equal(keep(f, 8, 0), CACHE_KEPT);
    struct cached_response *found = find(f, 7);
    assert_non_null(found);
    assert_int_equal(found->outputs.count, 2);
    const struct inference_output *items = found->outputs.items;
    uint64_t number;
    assert_int_equal(items[0].data.size, sizeof number);
    memcpy(&number, items[0].data.data, sizeof number);
    assert_int_equal(number, 7);
    assert_int_equal(items[1].shape.dims[0], 1000);
    assert_int_equal(items[1].data.size, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(items[1].data.data[i], 7);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal((uintptr_t)items[i].data.data % TENSOR_ALIGNMENT, 0);
    response_cache_return(found);
    found = find(f, 8);
    assert_int_equal(found->outputs.items[1].data.size, 0);
    response_cache_return(found);
    assert_null(find(f, 9));
}

static void a_second_answer_to_the_same_changes_nothing(void **state)
{
    struct fixture *f = *state;
    keep(f, 7, 10);
    uint64_t bytes = f->cache.bytes;
    assert_int_equal(keep(f, 7, 2000), CACHE_KEPT);
    assert_int_equal(f->cache.bytes, bytes);
    assert_int_equal(f->cache.count, 1);
}

/* The least recently looked up goes first, whatever was kept first. */
static void the_longest_unused_goes_first(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 6; i++)
        keep(f, i, 8000);
    assert_true(has(f, 0));
    assert_true(has(f, 2));
    for (uint64_t i = 100; f->cache.evictions < 3; i++)
        assert_int_equal(keep(f, i, 8000), CACHE_KEPT);
    assert_false(has(f, 1));
    assert_false(has(f, 3));
    assert_false(has(f, 4));
    assert_true(has(f, 0));
    assert_true(has(f, 2));
    assert_true(has(f, 5));
}

static void no_more_is_held_than_the_limit(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_int_equal(keep(f, i, (size_t)i * 37 % ENTRY_LIMIT), CACHE_KEPT);
        assert_true(f->cache.bytes <= LIMIT);
        assert_true(has(f, i));
    }
    assert_int_equal(f->cache.count + f->cache.evictions, KEYS);
    assert_int_equal(f->cache.bytes, f->cache.idle_bytes);
}

static void what_is_too_large_is_not_kept(void **state)
{
    struct fixture *f = *state;
    keep(f, 1, 10);
    assert_int_equal(keep(f, 2, ENTRY_LIMIT - 7), CACHE_TOO_LARGE);
    assert_int_equal(keep(f, 3, ENTRY_LIMIT - 8), CACHE_KEPT);
    response_cache_bound(&f->cache, 4096, ENTRY_LIMIT);
    assert_int_equal(keep(f, 4, 5000), CACHE_FULL);
    assert_true(has(f, 1) || f->cache.count == 0);
}

/* It is being sent: it stays as it is, and counts. */
static void what_is_lent_is_not_driven_out(void **state)
{
    struct fixture *f = *state;
    struct cached_response *lent[8] = {0};
    size_t count = 0;
    while (count < 8 && keep(f, count, 8000) == CACHE_KEPT && (lent[count] = find(f, count)))
        count++;
    assert_int_equal(count, 7); /* 8 have no room */
    assert_int_equal(f->cache.idle_bytes, 0);
    assert_int_equal(keep(f, 50, 8000), CACHE_FULL);
    assert_int_equal(f->cache.evictions, 0);
    assert_ptr_equal(find(f, 3), lent[3]); /* two readers */
    response_cache_return(lent[3]);
    assert_int_equal(keep(f, 50, 8000), CACHE_FULL);
    response_cache_return(lent[3]);
    assert_int_equal(keep(f, 50, 8000), CACHE_KEPT);
    assert_false(has(f, 3));
    for (size_t i = 0; i < count; i++) {
        if (i != 3)
            response_cache_return(lent[i]);
    }
    assert_int_equal(f->cache.bytes, f->cache.idle_bytes);
}

static void an_owners_answers_go_with_it(void **state)
{
    struct fixture *f = *state;
    keep(f, 1, 100);
    keep(f, 2, 100);
    keep_in(f, &f->other, 3, 100);
    struct cached_response *lent = find(f, 2);
    response_cache_drop(&f->owner);
    assert_false(has(f, 1));
    assert_false(has(f, 2));
    assert_true(has(f, 3));
    assert_int_equal(f->cache.count, 1);
    assert_int_equal(keep(f, 2, 200), CACHE_KEPT); /* anew */
    assert_int_equal(lent->outputs.items[1].data.size, 100);
    assert_int_equal(lent->outputs.items[1].data.data[99], 2);
    response_cache_return(lent);
    assert_true(has(f, 2));
}

static void a_lesser_limit_holds_at_once(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 6; i++)
        keep(f, i, 8000);
    struct cached_response *lent = find(f, 0);
    response_cache_bound(&f->cache, 0, ENTRY_LIMIT);
    assert_int_equal(f->cache.count, 1);
    assert_int_equal(f->cache.bytes, lent->bytes);
    response_cache_return(lent);
    assert_int_equal(f->cache.bytes, 0);
    assert_int_equal(keep(f, 9, 1), CACHE_FULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_kept_is_found_as_it_was), TEST(a_second_answer_to_the_same_changes_nothing),
        TEST(the_longest_unused_goes_first),    TEST(no_more_is_held_than_the_limit),
        TEST(what_is_too_large_is_not_kept),    TEST(what_is_lent_is_not_driven_out),
        TEST(an_owners_answers_go_with_it),     TEST(a_lesser_limit_holds_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
