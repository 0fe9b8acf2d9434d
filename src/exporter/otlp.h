/* Records of traced requests as an OTLP request (ExportTraceServiceRequest). A request becomes a
 * span with attributes by OpenTelemetry's semantic conventions for HTTP and RPC servers, and each
 * of its stages a span below it. Pure but for the random ids of the stages. */
#ifndef TENSORD_EXPORTER_OTLP_H
#define TENSORD_EXPORTER_OTLP_H

#include "base/error.h"
#include "base/parameter.h"
#include "telemetry/span_record.h"

/* Encodes the first records of `records`, at most `limit`, with the resource's attributes, and says
 * how many and how many bytes of records that are. Text that is not UTF-8 is made so: a collector
 * would refuse all of it. False when there is no memory, or a record is not sound
 * (INVALID_ARGUMENT). */
bool otlp_encode(struct span records, size_t limit, const struct parameter *attributes,
                 size_t attribute_count, struct buf *to, size_t *ret_bytes, size_t *ret_count,
                 struct error *ret_error);

#endif
