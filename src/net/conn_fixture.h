/* Two connected sides for the tests of connections: over a loopback socket, a unix socket, a pair
 * in memory, and over TLS on two of them. */
#ifndef TENSORD_NET_CONN_FIXTURE_H
#define TENSORD_NET_CONN_FIXTURE_H

#include "base/buf.h"
#include "net/tls_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BIG_BYTES = 8 << 20, GUARD_MS = 10000 };

/* One end of a connection, and what its owner was told. */
struct side {
    struct test *test;
    struct conn *conn; /* NULL once closed */
    struct buf received;
    size_t room_bytes; /* what the owner gives for the next read */
    bool ended;
    unsigned drained;
    void (*on_received)(struct side *side);
    void (*on_drained)(struct side *side);
    void (*on_end)(struct side *side);
    bool forget; /* do not keep what is received */
};

struct test {
    struct loop *loop;
    struct tls_server *server; /* or NULL */
    struct side a, b;
    bool (*done)(struct test *test);
    struct loop_task check;
    struct timer guard;
    char *big;
    size_t unsent_bytes; /* of a, before */
};

/* The owner's calls of a side: they note what comes. */
extern const struct conn_owner side_calls;

/* Something has happened to the side: looks, at the turn's end, whether the wait is over. */
void happened(struct side *side);

/* Runs the loop until `done` holds after something has happened. */
void run_until(struct test *test, bool (*done)(struct test *test));

/* Makes and drops what TLS takes; for the whole group of tests. */
int make_certificate(void **state);
int drop_certificate(void **state);

/* Makes a struct test whose sides are connected; over TLS, a is the client, and both have their
 * handshake behind them. */
int join_tcp(void **state);
int join_unix(void **state);
int join_pair(void **state);
int join_tls(void **state);
int join_tls_tcp(void **state);

/* Frees it; both sides must have been closed by then, or are now. */
int part(void **state);

#endif
