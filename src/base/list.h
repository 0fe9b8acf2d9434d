/* Intrusive doubly linked lists: the link is a member of what is listed, so that listing allocates
 * nothing and leaving is O(1). A link is in at most one list. */
#ifndef TENSORD_BASE_LIST_H
#define TENSORD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next; /* NULL: in no list */
    struct list_link *previous;
};

/* The head's links point to itself when the list is empty. */
struct list {
    struct list_link head;
};

/* The struct that a link is a member of. */
#define list_entry(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* Visits each link; the current one may be removed meanwhile. */
#define list_each(link, list)                                                                      \
    for (struct list_link *link = (list)->head.next, *link##_next = link->next;                    \
         link != &(list)->head; link = link##_next, link##_next = link->next)

static inline void list_init(struct list *list)
{
    list->head.next = list->head.previous = &list->head;
}

static inline bool list_empty(const struct list *list)
{
    return list->head.next == &list->head;
}

static inline bool list_linked(const struct list_link *link)
{
    return link->next != NULL;
}

/* The first link, or NULL. */
static inline struct list_link *list_first(const struct list *list)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a link leaves its list before it is freed */
    return list_empty(list) ? NULL : list->head.next;
}

/* Puts a link that is in no list before one that is in one. */
static inline void list_insert_before(struct list_link *before, struct list_link *link)
{
    link->previous = before->previous;
    link->next = before;
    before->previous->next = link;
    before->previous = link;
}

/* Appends a link that is in no list. */
static inline void list_add(struct list *list, struct list_link *link)
{
    list_insert_before(&list->head, link);
}

/* Puts a link that is in no list before all others. */
static inline void list_insert_first(struct list *list, struct list_link *link)
{
    list_insert_before(list->head.next, link);
}

/* Takes the link out of its list, if it is in one. */
static inline void list_remove(struct list_link *link)
{
    if (!link->next)
        return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = NULL;
}

#endif
