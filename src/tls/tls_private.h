/* What the files of tls/ share. */
#ifndef TENSORD_TLS_TLS_PRIVATE_H
#define TENSORD_TLS_TLS_PRIVATE_H

#include "tls/tls.h"

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    char description[300];
    char warning[400];
};

/* Reads a PEM file whole; *ret_mode is that of the file. NULL with a sentence that names it. */
BIO *pem_file_open(const char *path, unsigned *ret_mode, struct error *ret_error);

/* Gives the context the server's certificate and key, and describes them. */
bool identity_load(struct tls_context *context, const struct tls_files *files,
                   struct error *ret_error);

/* Makes the context ask clients for certificates. */
bool client_ca_load(struct tls_context *context, const struct tls_files *files,
                    struct error *ret_error);

/* Gives the context the keys of session tickets. */
bool tickets_use(SSL_CTX *ssl);

/* The sentence for the first error in OpenSSL's queue of this thread, and empties the queue. */
const char *openssl_reason(void);

/* A session over an SSL, which it owns in any case; a test's is a client. NULL when there is no
 * memory. */
struct tls_session *session_with(SSL *ssl);

/* session.c, client.c: see struct tls_library. */
struct tls_session *session_new(struct tls_context *context);
void session_free(struct tls_session *session);
enum tls_result session_handshake(struct tls_session *session, struct tls_io *io);
enum tls_result session_read(struct tls_session *session, struct tls_io *io, struct room room,
                             size_t *ret_count);
enum tls_result session_write(struct tls_session *session, struct tls_io *io, struct span bytes);
enum tls_result session_end(struct tls_session *session, struct tls_io *io);
struct span session_protocol(const struct tls_session *session);
void session_failure(const struct tls_session *session, struct error *ret_error);
const SSL *session_ssl(const struct tls_session *session);
bool session_client(const struct tls_session *session, struct arena *arena,
                    struct tls_client *ret_client, struct error *ret_error);

#endif
