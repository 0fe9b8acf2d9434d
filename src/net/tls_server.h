/* The TLS of a server: its certificate, which is read again when its files change, and what its
 * connections share. Belongs to one loop, and to its thread. */
#ifndef TENSORD_NET_TLS_SERVER_H
#define TENSORD_NET_TLS_SERVER_H

#include "net/loop.h"
#include "tls/tls.h"

struct tls_server;

struct tls_server_options {
    const struct tls_library *library;
    struct tls_files files;   /* the paths stay valid */
    uint64_t look_ms;         /* between looks whether the files have changed */
    struct span plain_answer; /* sent, in the clear, to a client that speaks HTTP without TLS; stays
                                 in place */
    /* The files were read again: since they have changed, or as tls_server_reload asked. error is
     * NULL when new connections get the new certificate, else it says why they get the old one. */
    void (*reloaded)(void *context, const struct error *error);
    void *context;
};

/* Loads the library at that path, tensord-tls.so; it stays loaded. NULL with a sentence when it is
 * not there, of another version, or finds no OpenSSL. */
const struct tls_library *tls_library_load(const char *path, struct error *ret_error);

/* Reads the files, which may block. NULL with a sentence that names the file and what is wrong. */
struct tls_server *tls_server_new(struct loop *loop, const struct tls_server_options *options,
                                  struct error *ret_error);

/* Reads the files again, on another thread; connections that are open keep what they have.
 * `reloaded` follows. */
void tls_server_reload(struct tls_server *server);

/* "CN=models.example, valid until 2027-01-31", and what is wrong with that, or "". Both are valid
 * until `reloaded` comes. */
const char *tls_server_describe(const struct tls_server *server);
const char *tls_server_warning(const struct tls_server *server);

/* After the last of its connections, and after its loop. Accepts NULL. */
void tls_server_free(struct tls_server *server);

#endif
