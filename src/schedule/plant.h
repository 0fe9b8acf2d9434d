/* Bugs that tests plant into this module, to see that the simulator finds them: a test program
 * compiles the module with SCHEDULE_PLANT set to one of these. No other build has any. */
#ifndef TENSORD_SCHEDULE_PLANT_H
#define TENSORD_SCHEDULE_PLANT_H

#define PLANT_NONE 0
#define PLANT_LOST 1        /* a request that is put back is forgotten */
#define PLANT_DOUBLED 2     /* a request that joins a batch keeps its place in the queue */
#define PLANT_REORDERED 3   /* requests that are put back go behind others */
#define PLANT_EXCEEDED 4    /* a batch is filled up by one row too many */
#define PLANT_STARVED 5     /* a lower priority waits for as long as there is a higher one */
#define PLANT_UNFAIR 6      /* callers' weights count for nothing */
#define PLANT_OVER_BUDGET 7 /* memory is given away before a worker that leaves has ended */

#ifndef SCHEDULE_PLANT
#define SCHEDULE_PLANT PLANT_NONE
#endif

#endif
