/* TLS for servers: ciphertext in, plaintext out, and back. It reads the files of the certificate;
 * beyond that it is pure: no socket, no loop, no log.
 *
 * It is a library of its own, tensord-tls.so, over OpenSSL 3, which the front loads, and only when
 * a certificate is given. Linked into the program, OpenSSL would cost every process, workers too,
 * some 2 MiB and a millisecond to start, and would come between an engine and the OpenSSL that its
 * own libraries bring along.
 *
 * A context may be made in any thread; it and its sessions then belong to one thread. */
#ifndef TENSORD_TLS_TLS_H
#define TENSORD_TLS_TLS_H

#include "base/arena.h"
#include "base/error.h"

struct tls_context; /* a certificate, its key, and what is asked of clients */
struct tls_session; /* the TLS of one connection */

enum tls_client_auth {
    TLS_CLIENT_NONE,
    TLS_CLIENT_REQUEST, /* a client may show none; one that it shows must be valid */
    TLS_CLIENT_REQUIRE,
};

/* Paths of PEM files. */
struct tls_files {
    const char *certificate; /* the server's own first, then those that lead to a root */
    const char *key;         /* not encrypted; may be the same file */
    const char *client_ca;   /* those who sign clients' certificates, with their revocation lists if
                              * these are to be heeded; NULL: clients are not asked */
    enum tls_client_auth client_auth;
};

/* Where ciphertext comes from and goes to during one call: what was used is gone from the front of
 * both. */
struct tls_io {
    struct span in;
    struct room out;
};

enum tls_result {
    TLS_OK,
    TLS_WANT_INPUT, /* all of `in` was used, and more is needed */
    TLS_WANT_ROOM,  /* `out` is full: the same call again once there is more */
    TLS_END,        /* the peer will send no more, and said so (close_notify) */
    TLS_FAILED,     /* session_failure says why; what is in `out` tells the peer */
};

enum {
    TLS_RECORD_BYTES = 16384,                 /* plaintext of a record, at most */
    TLS_RECORD_ROOM = TLS_RECORD_BYTES + 512, /* that a record surely fits into */
    TLS_RECORD_HANDSHAKE = 22,                /* the first byte that a client sends */
};

/* Who a client says it is, vouched for by one of tls_files.client_ca. */
struct tls_client {
    struct span subject;      /* "CN=alice,O=Example", RFC 4514 */
    struct span common_name;  /* of the subject; empty without one */
    const struct span *names; /* subjectAltName: "DNS:a.example", "URI:spiffe://…", "email:…" */
    size_t name_count;
};

struct tls_library {
    const char *version; /* of tensord; only the same one may use it */

    /* Reads the files. NULL with a sentence that names the file and what is wrong with it. */
    struct tls_context *(*context_new)(const struct tls_files *files, struct error *ret_error);

    /* Accepts NULL. Sessions may live on. */
    void (*context_free)(struct tls_context *context);

    /* For the log: "CN=models.example, valid until 2027-01-31". */
    const char *(*context_describe)(const struct tls_context *context);

    /* What is wrong but does not keep it from working, a sentence; empty when all is well. */
    const char *(*context_warning)(const struct tls_context *context);

    /* The TLS of a connection that was accepted. NULL when there is no memory. */
    struct tls_session *(*session_new)(struct tls_context *context);

    /* Accepts NULL. */
    void (*session_free)(struct tls_session *session);

    /* Goes on with the handshake; OK when it is done. */
    enum tls_result (*session_handshake)(struct tls_session *session, struct tls_io *io);

    /* Decrypts into `room`; OK with 1 or more bytes, of one record. */
    enum tls_result (*session_read)(struct tls_session *session, struct tls_io *io,
                                    struct room room, size_t *ret_count);

    /* Encrypts 1 to TLS_RECORD_BYTES bytes as one record; with TLS_RECORD_ROOM in `out`, OK or
     * FAILED. */
    enum tls_result (*session_write)(struct tls_session *session, struct tls_io *io,
                                     struct span bytes);

    /* Says that no more will be sent (close_notify). */
    enum tls_result (*session_end)(struct tls_session *session, struct tls_io *io);

    /* The protocol that ALPN agreed on, "h2" or "http/1.1"; empty when the client named none. */
    struct span (*session_protocol)(const struct tls_session *session);

    /* The certificate that the client has shown, in the arena. False with UNAUTHENTICATED when it
     * showed none. */
    bool (*session_client)(const struct tls_session *session, struct arena *arena,
                           struct tls_client *ret_client, struct error *ret_error);

    /* After FAILED: why, in a sentence. */
    void (*session_failure)(const struct tls_session *session, struct error *ret_error);
};

/* The one symbol of tensord-tls.so. */
#define TLS_LIBRARY_SYMBOL "tensord_tls_library"
extern const struct tls_library tensord_tls_library;

#endif
