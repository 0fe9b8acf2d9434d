/* What `tensord serve` tells its user on standard output: the models as they become ready, their
 * inputs and outputs, and a line to paste. */
#ifndef TENSORD_CMD_ANNOUNCE_H
#define TENSORD_CMD_ANNOUNCE_H

#include "base/buf.h"
#include "base/tensor.h"
#include "serving/serving.h"

struct announcer {
    char address[400];   /* for a line with curl: "http://127.0.0.1:8000" */
    const char *example; /* path of the example request's file, or empty */
    int example_fd;      /* opened before the sandbox closes in; -1: none, or written already */
    bool scanned;
};

/* Opens the example's file, if one is wanted. */
void announcer_init(struct announcer *announcer, const char *example);

/* After each scan: the first one says when nothing was found. */
void announcer_scanned(struct announcer *announcer, const struct serving *serving);

/* A load of the version has ended. */
void announcer_settled(struct announcer *announcer, const struct version *version);

#endif
