/* Unit tests of schedule/order.h: a long random walk beside a plain sorted array. */
#include "schedule/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 200, STEPS = 20000 };

static struct order_node nodes[NODES];
static struct order_node *sorted[NODES];
static size_t count;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool earlier(const struct order_node *a, const struct order_node *b)
{
    return a->key < b->key || (a->key == b->key && a->sequence < b->sequence);
}

static void insert_sorted(struct order_node *node)
{
    size_t at = count++;
    for (; at > 0 && earlier(node, sorted[at - 1]); at--)
        sorted[at] = sorted[at - 1];
    sorted[at] = node;
}

static void remove_sorted(const struct order_node *node)
{
    size_t at = 0;
    while (sorted[at] != node)
        at++;
    memmove(&sorted[at], &sorted[at + 1], (--count - at) * sizeof *sorted);
}

static void assert_same(const struct order *order)
{
    const struct order_node *node = order->first;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++, node = order_next(node)) {
        assert_ptr_equal(node, sorted[i]);
        assert_int_equal(order_size_before(order, node->key, node->sequence), size);
        size += node->size;
    }
    assert_null(node);
    assert_int_equal(order_size(order), size);
}

static void a_random_walk_keeps_the_order(void **state)
{
    struct order order = {0};
    uint64_t seed = 88172645463325252;
    bool in[NODES] = {false};
    for (uint64_t step = 1; step <= STEPS; step++) {
        size_t i = next_random(&seed) % NODES;
        if (in[i]) {
            order_remove(&order, &nodes[i]);
            remove_sorted(&nodes[i]);
        } else {
            nodes[i] = (struct order_node){
                .key = next_random(&seed) % 50, .sequence = step, .size = next_random(&seed) % 9};
            order_add(&order, &nodes[i]);
            insert_sorted(&nodes[i]);
        }
        in[i] = !in[i];
        if (step % 50 == 0)
            assert_same(&order);
    }
}

static size_t depth_of(const struct order_node *node)
{
    size_t depth = 0;
    for (; node; node = node->parent)
        depth++;
    return depth;
}

static void falling_keys_make_no_list_of_it(void **state)
{
    struct order order = {0};
    size_t deepest = 0;
    for (size_t i = 0; i < NODES; i++) {
        nodes[i] = (struct order_node){.key = NODES - i, .sequence = i};
        order_add(&order, &nodes[i]);
    }
    for (size_t i = 0; i < NODES; i++)
        deepest = depth_of(&nodes[i]) > deepest ? depth_of(&nodes[i]) : deepest;
    assert_true(deepest < 40); /* about 2 ln(200) = 11 on average */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_walk_keeps_the_order),
        cmocka_unit_test(falling_keys_make_no_list_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
