/* A gRPC call of the test server: everything that a service may want to do with one.
 *
 * A service is told of each message and of the end of the client's stream; it queues answers, each
 * after a delay, and a status behind them. What it needs until then comes from the call's arena. */
#ifndef TENSORD_TESTS_GRPC_CALL_H
#define TENSORD_TESTS_GRPC_CALL_H

#include "codec/protobuf.h"
#include "net/loop.h"
#include "protocol/grpc.h"

struct test_call;

struct test_method {
    const char *path;
    bool client_streaming; /* else exactly one message comes */
    /* A message; it lies in the call's arena. */
    void (*message)(struct test_call *call, struct span bytes);
    /* The client has sent all. */
    void (*ended)(struct test_call *call);
};

struct test_answer {
    uint64_t delay_ms;
    struct span bytes;
};

struct test_call {
    struct http_exchange *exchange;
    const struct test_method *method;
    struct arena arena;
    struct grpc_reader reader;
    struct grpc_writer writer;
    struct buf body; /* the running message */
    size_t message_count;

    struct http_field *headers, *trailers; /* to be sent */
    size_t header_count, trailer_count;
    struct test_answer *answers;
    size_t answer_count, answer_capacity, sent_count;
    unsigned status;
    struct span status_text;
    bool finished; /* the status is known */
    bool ended;    /* and is sent */
    bool writing;  /* an answer is on its way */
    bool waited;   /* the next answer's delay is over */
    struct timer delay, deadline;

    void *state; /* the service's, zeroed: (STATE_BYTES) */
};

enum { TEST_CALL_STATE_BYTES = 128 };

/* The two services' methods, ending with a path of NULL. */
extern const struct test_method conformance_methods[], testing_methods[];

/* Takes an exchange of the server over; messages may have limit_bytes. */
void test_call_begin(struct http_exchange *exchange, size_t limit_bytes);

/* Sends the head now. */
void test_call_start(struct test_call *call);

/* Adds a field to the head, or to the trailers; the spans must stay. */
void test_call_header(struct test_call *call, struct span name, struct span value);
void test_call_trailer(struct test_call *call, struct span name, struct span value);

/* Queues an answer. */
void test_call_answer(struct test_call *call, uint64_t delay_ms, const struct pb_message *table,
                      const void *message);

/* Ends the call behind the answers. */
void test_call_finish(struct test_call *call, unsigned status, struct span text);

/* Decodes into the call's arena, or ends the call; NULL then. */
void *test_call_decode(struct test_call *call, const struct pb_message *table, struct span bytes);

#endif
