/* The role `tensord exporter`: takes records of traced requests from a stream and posts them to a
 * collector, until the stream ends; then what is left is posted once more, and it is over. */
#ifndef TENSORD_EXPORTER_EXPORTER_H
#define TENSORD_EXPORTER_EXPORTER_H

#include "exporter/post.h"

/* What the exporter tells the front, now and then: requests since the last time. Both in the
 * machine's order. */
struct export_report {
    uint64_t exported, lost;
};

enum { EXPORTER_FD = 3 };

/* Runs over fd, a stream socket. Returns the exit status: 0 at the stream's end, 1 when what comes
 * is no record. */
int exporter_run(const struct export_config *config, struct post *post, int fd);

#endif
