/* Ordered sets; see order.h. Ranks are drawn from the sequence numbers, which no client chooses. */
#include "schedule/order.h"

static bool comes_before(const struct order_node *node, uint64_t key, uint64_t sequence)
{
    return node->key < key || (node->key == key && node->sequence < sequence);
}

/* The finalizer of SplitMix64: neighbouring numbers give unrelated ones. */
static uint64_t scatter(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

static uint64_t total_of(const struct order_node *node)
{
    return node ? node->total_size : 0;
}

static void sum_up(struct order_node *node)
{
    node->total_size = node->size + total_of(node->left) + total_of(node->right);
}

static void sum_up_to_root(struct order_node *node)
{
    for (; node; node = node->parent)
        sum_up(node);
}

/* Where the set points to this node. */
static struct order_node **place_of(struct order *order, const struct order_node *node)
{
    struct order_node *parent = node->parent;
    if (!parent)
        return &order->root;
    return parent->left == node ? &parent->left : &parent->right;
}

/* The node changes places with its parent. */
static void rotate_up(struct order *order, struct order_node *node)
{
    struct order_node *parent = node->parent, *moved;
    *place_of(order, parent) = node;
    node->parent = parent->parent;
    if (parent->left == node) {
        moved = parent->left = node->right;
        node->right = parent;
    } else {
        moved = parent->right = node->left;
        node->left = parent;
    }
    if (moved)
        moved->parent = parent;
    parent->parent = node;
    sum_up(parent);
    sum_up(node);
}

void order_add(struct order *order, struct order_node *node)
{
    struct order_node **place = &order->root, *parent = NULL;
    while (*place) {
        parent = *place;
        place = comes_before(parent, node->key, node->sequence) ? &parent->right : &parent->left;
    }
    *place = node;
    node->parent = parent;
    node->left = node->right = NULL;
    node->rank = scatter(node->sequence);
    sum_up_to_root(node);
    while (node->parent && node->parent->rank < node->rank)
        rotate_up(order, node);
    if (!order->first || comes_before(node, order->first->key, order->first->sequence))
        order->first = node;
}

void order_remove(struct order *order, struct order_node *node)
{
    if (order->first == node)
        order->first = order_next(node);
    while (node->left && node->right)
        rotate_up(order, node->left->rank > node->right->rank ? node->left : node->right);
    struct order_node *child = node->left ? node->left : node->right;
    *place_of(order, node) = child;
    if (child)
        child->parent = node->parent;
    sum_up_to_root(node->parent);
}

struct order_node *order_next(const struct order_node *node)
{
    if (node->right) {
        for (node = node->right; node->left;)
            node = node->left;
        return (struct order_node *)node;
    }
    while (node->parent && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

uint64_t order_size_before(const struct order *order, uint64_t key, uint64_t sequence)
{
    uint64_t size = 0;
    const struct order_node *node = order->root;
    while (node) {
        if (comes_before(node, key, sequence)) {
            size += node->size + total_of(node->left);
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return size;
}

uint64_t order_size(const struct order *order)
{
    return total_of(order->root);
}
