/* All processes beneath one: what it has started, what these have started, and so on, by the
 * kernel's lists of children (proc(5)), which show what is in namespaces within, too. For cage*.c
 * alone. */
#ifndef TENSORD_WORKER_CAGE_TREE_H
#define TENSORD_WORKER_CAGE_TREE_H

#include <stddef.h>
#include <sys/types.h>

enum { CAGE_TREE_MOST = 16384 };

struct cage_tree {
    pid_t pids[CAGE_TREE_MOST]; /* parents before their children */
    size_t count;
};

/* Lists the children of this process and all beneath them, up to CAGE_TREE_MOST. One that starts or
 * ends meanwhile may be missing. */
void cage_tree_look(struct cage_tree *tree);

/* Ends all that is beneath this process, which adopts what is orphaned there
 * (PR_SET_CHILD_SUBREAPER, or the first of a namespace), and reaps it. Gives up after a second. */
void cage_tree_end(void);

#endif
