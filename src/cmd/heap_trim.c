/* Trimming the heap; see heap_trim.h.
 *
 * The C library keeps what was freed, and more of it the larger the pieces were: after a few bodies
 * of 6 MB in JSON, 10 MiB. A fixed threshold (M_TRIM_THRESHOLD) would make every large request pay
 * for new pages; a look every few seconds costs microseconds, and trimming when there is something
 * to gain well under a millisecond.
 *
 * Until it has seen a larger piece come and go, the library itself trims whenever 128 KiB lie free
 * at the end: with requests of 64 connections at each turn of the loop, a twentieth of all time.
 * Such a piece is shown to it; setting its thresholds by mallopt(3) would fix them for good. */
#include "cmd/heap_trim.h"

#include <malloc.h>
#include <stdlib.h>

enum { PERIOD_MS = 5000, WORTHWHILE_BYTES = 512 * 1024, SHOWN_BYTES = 1 << 20 };

static void look(struct timer *timer)
{
    struct heap_trim *trim = list_entry(timer, struct heap_trim, timer);
    if (mallinfo2().fordblks > WORTHWHILE_BYTES)
        malloc_trim(0);
    timer_start(&trim->timer, trim->loop, PERIOD_MS, look);
}

void heap_trim_start(struct heap_trim *trim, struct loop *loop)
{
    void *volatile shown = malloc(SHOWN_BYTES); /* volatile, or neither call is made */
    free(shown);
    trim->loop = loop;
    timer_start(&trim->timer, loop, PERIOD_MS, look);
}
