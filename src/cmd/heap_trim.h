/* Gives memory that a burst has left free in the heap back to the kernel. */
#ifndef TENSORD_CMD_HEAP_TRIM_H
#define TENSORD_CMD_HEAP_TRIM_H

#include "net/loop.h"

struct heap_trim {
    struct loop *loop;
    struct timer timer;
};

/* Looks at the heap now and then, from now on, as long as the loop runs. The struct stays in place.
 */
void heap_trim_start(struct heap_trim *trim, struct loop *loop);

#endif
