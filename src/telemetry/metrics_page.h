/* The tables of metrics as a page: the part of docs/metrics.md that follows from them. */
#ifndef TENSORD_TELEMETRY_METRICS_PAGE_H
#define TENSORD_TELEMETRY_METRICS_PAGE_H

#include "base/buf.h"

/* Appends the tables as Markdown. False when buf has no room. */
bool metrics_page_write(struct buf *to);

#endif
