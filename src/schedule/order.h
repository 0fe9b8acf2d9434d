/* An ordered set: a treap whose nodes are members of what is ordered, so that nothing is allocated.
 * Adding and removing cost O(log n), whatever keys a client makes us choose. Pure. */
#ifndef TENSORD_SCHEDULE_ORDER_H
#define TENSORD_SCHEDULE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A node is in at most one set. What the caller sets stays as it is while it is in one. */
struct order_node {
    uint64_t key;      /* smaller comes first */
    uint64_t sequence; /* among equal keys; different for each node */
    uint64_t size;     /* counted by order_size_before */
    /* The set's own. */
    struct order_node *parent, *left, *right;
    uint64_t total_size; /* of the node and all beneath it */
    uint64_t rank;       /* heap order: a parent's is the larger */
};

struct order {
    struct order_node *root;
    struct order_node *first; /* NULL: empty */
};

/* Adds a node that is in no set. */
void order_add(struct order *order, struct order_node *node);

/* Takes a node out of its set. */
void order_remove(struct order *order, struct order_node *node);

/* The node after this one, or NULL. */
struct order_node *order_next(const struct order_node *node);

/* The sizes of all nodes that come before one with this key and sequence, in or out of the set. */
uint64_t order_size_before(const struct order *order, uint64_t key, uint64_t sequence);

/* The sizes of all nodes. */
uint64_t order_size(const struct order *order);

#endif
