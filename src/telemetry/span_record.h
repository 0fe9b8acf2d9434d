/* A traced request on its way from the front to the exporter: a record of bytes that knows its own
 * size. The exporter takes nothing for granted, as the front speaks with clients. Pure.
 *
 * Layout, in the machine's order: struct span_record_head, then the texts one after the other. */
#ifndef TENSORD_TELEMETRY_SPAN_RECORD_H
#define TENSORD_TELEMETRY_SPAN_RECORD_H

#include "base/buf.h"
#include "telemetry/metrics.h"
#include "telemetry/trace_context.h"

/* The texts of a record; absent ones are empty. */
enum span_text {
    SPAN_TEXT_NAME,     /* "POST /v2/models/{model}/infer" */
    SPAN_TEXT_METHOD,   /* "POST" */
    SPAN_TEXT_PATH,     /* as the client sent it */
    SPAN_TEXT_ROUTE,    /* "/v2/models/{model}/infer" */
    SPAN_TEXT_PROTOCOL, /* "1.1" or "2" */
    SPAN_TEXT_PEER,     /* "127.0.0.1:5000" */
    SPAN_TEXT_MODEL,
    SPAN_TEXT_VERSION,
    SPAN_TEXT_REQUEST_ID,
    SPAN_TEXT_FAILURE, /* the sentence of the error */
    SPAN_TEXT_STATE,   /* tracestate */
    SPAN_TEXT_COUNT
};

enum { SPAN_TEXT_MAX_BYTES = 512, SPAN_RECORD_MAX_BYTES = 8192 };

enum span_flags {
    SPAN_SERVER = 1, /* a client's request; else one that a model made */
    SPAN_FAILED = 2, /* by the server's fault */
    SPAN_RPC = 4,    /* a gRPC call */
    SPAN_STAGED = 8, /* an inference: it has stages */
};

struct span_record {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t parent_id[SPAN_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint32_t flags;                  /* enum span_flags */
    uint32_t status;                 /* HTTP's; 0: none */
    int32_t grpc_status;             /* of a SPAN_RPC */
    uint64_t start_ns;               /* since the epoch */
    uint64_t stages_ns[STAGE_COUNT]; /* how long each took; STAGE_total always */
    struct span texts[SPAN_TEXT_COUNT];
};

/* Appends the record; texts longer than SPAN_TEXT_MAX_BYTES are cut. False, with nothing appended,
 * when there is no room. */
bool span_record_write(struct buf *to, const struct span_record *record);

/* Reads the record at the start of `bytes`, whose texts are views of it, and its size. False when
 * there is no whole record; then *ret_broken says whether there never will be. */
bool span_record_read(struct span bytes, struct span_record *ret_record, size_t *ret_size,
                      bool *ret_broken);

#endif
