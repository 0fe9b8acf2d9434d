/* The TLS of one connection: an SSL that reads from and writes to the tls_io of the call, by a BIO
 * of our own, so that nothing is buffered in between. */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

struct tls_session {
    SSL *ssl;
    struct tls_io *io;     /* of the call that runs */
    unsigned long failure; /* OpenSSL's code */
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *ret_count)
{
    const struct tls_session *session = BIO_get_data(bio);
    struct span *in = &session->io->in;
    size_t count = size < in->size ? size : in->size;
    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, in->data, count);
    *in = span_after(*in, count);
    *ret_count = count;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t size, size_t *ret_count)
{
    const struct tls_session *session = BIO_get_data(bio);
    struct room *out = &session->io->out;
    size_t count = size < out->size ? size : out->size;
    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    memcpy(out->data, from, count);
    *out = (struct room){out->data + count, out->size - count};
    *ret_count = count;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

/* Made once. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tensord");
        if (!method || BIO_meth_set_read_ex(method, bio_read) != 1 ||
            BIO_meth_set_write_ex(method, bio_write) != 1 ||
            BIO_meth_set_ctrl(method, bio_control) != 1) {
            BIO_meth_free(method);
            method = NULL;
        }
    }
    return method;
}

/* ---- beginning and end ---- */

static bool connect_bio(struct tls_session *session)
{
    const BIO_METHOD *method = bio_method();
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}

struct tls_session *session_with(SSL *ssl)
{
    struct tls_session *session = ssl ? calloc(1, sizeof *session) : NULL;
    if (!session) {
        SSL_free(ssl);
        return NULL;
    }
    session->ssl = ssl;
    if (connect_bio(session))
        return session;
    session_free(session);
    return NULL;
}

struct tls_session *session_new(struct tls_context *context)
{
    struct tls_session *session = session_with(SSL_new(context->ssl));
    if (session)
        SSL_set_accept_state(session->ssl);
    ERR_clear_error();
    return session;
}

void session_free(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

const SSL *session_ssl(const struct tls_session *session)
{
    return session->ssl;
}

/* ---- calls ---- */

static void begin(struct tls_session *session, struct tls_io *io)
{
    session->io = io;
    ERR_clear_error(); /* SSL_get_error looks at the queue */
}

static enum tls_result finish(struct tls_session *session, int status)
{
    enum tls_result result = TLS_FAILED;
    switch (status == 1 ? SSL_ERROR_NONE : SSL_get_error(session->ssl, status)) {
    case SSL_ERROR_NONE:
        result = TLS_OK;
        break;
    case SSL_ERROR_WANT_READ:
        result = TLS_WANT_INPUT;
        break;
    case SSL_ERROR_WANT_WRITE:
        result = TLS_WANT_ROOM;
        break;
    case SSL_ERROR_ZERO_RETURN:
        result = TLS_END;
        break;
    default:
        session->failure = ERR_peek_last_error(); /* what those before it have led to */
        ERR_clear_error();
    }
    session->io = NULL;
    return result;
}

enum tls_result session_handshake(struct tls_session *session, struct tls_io *io)
{
    begin(session, io);
    return finish(session, SSL_do_handshake(session->ssl));
}

enum tls_result session_read(struct tls_session *session, struct tls_io *io, struct room room,
                             size_t *ret_count)
{
    begin(session, io);
    return finish(session, SSL_read_ex(session->ssl, room.data, room.size, ret_count));
}

enum tls_result session_write(struct tls_session *session, struct tls_io *io, struct span bytes)
{
    size_t count;
    begin(session, io);
    return finish(session, SSL_write_ex(session->ssl, bytes.data, bytes.size, &count));
}

enum tls_result session_end(struct tls_session *session, struct tls_io *io)
{
    begin(session, io);
    int status = SSL_shutdown(session->ssl);
    return finish(session, status == 0 ? 1 : status); /* 0: said, and the peer has yet to */
}

struct span session_protocol(const struct tls_session *session)
{
    const unsigned char *name;
    unsigned size;
    SSL_get0_alpn_selected(session->ssl, &name, &size);
    return (struct span){(const char *)name, size};
}

/* ---- why it failed ---- */

/* What clients do wrong most often, in words that help whoever reads the log. */
static const struct {
    int reason;
    const char *sentence;
} sentences[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "the client speaks neither TLS 1.2 nor TLS 1.3"},
    {SSL_R_UNKNOWN_PROTOCOL, "the client speaks neither TLS 1.2 nor TLS 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, "the client does not speak TLS"},
    {SSL_R_NO_SHARED_CIPHER, "the client has no cipher that is served"},
    {SSL_R_NO_SHARED_GROUPS, "the client has no elliptic curve that is served"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "the client wants neither h2 nor http/1.1"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client showed no certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA,
     "the client does not trust this server's certificate: it does not know who signed it"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the client does not accept this server's certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the client does not accept this server's certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client finds this server's certificate expired"},
};

void session_failure(const struct tls_session *session, struct error *ret_error)
{
    int reason = ERR_GET_REASON(session->failure);
    if (ERR_GET_LIB(session->failure) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            long why = SSL_get_verify_result(session->ssl);
            error_set(ret_error, ERROR_UNAUTHENTICATED, "the client's certificate is refused: %s",
                      X509_verify_cert_error_string(why));
            return;
        }
        for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
            if (sentences[i].reason == reason) {
                error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", sentences[i].sentence);
                return;
            }
        }
    }
    const char *text = ERR_reason_error_string(session->failure);
    error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", text ? text : "the TLS protocol was broken");
}
