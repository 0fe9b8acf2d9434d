/* A context: Mozilla's "intermediate" recommendation for servers (TLS 1.2 and 1.3, forward secrecy
 * and authenticated encryption alone), plus ALPN and session tickets. */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <stdlib.h>

/* In the order of preference of Mozilla's guideline 5.7, without its finite-field Diffie-Hellman:
 * every client of the last ten years has elliptic curves. */
static const char ciphers_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

enum { SESSION_S = 3600 };

/* Ours is the order of preference, but for a client that puts ChaCha20 first: it has no
 * instructions for AES. */
static const uint64_t options = SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_SSLv3 |
                                SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1;

/* Chooses the protocol of a client that names some (RFC 7301); with none in common the handshake
 * fails (§3.2), rather than one side speaking what the other does not expect. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
                           const unsigned char *offered, unsigned offered_size, void *unused)
{
    static const unsigned char ours[] = "\2h2\x8http/1.1";
    unsigned char *name;
    if (SSL_select_next_proto(&name, ret_size, ours, sizeof ours - 1, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

static bool configure(SSL_CTX *ssl)
{
    static const unsigned char id[] = "tensord";
    SSL_CTX_set_options(ssl, options);
    /* An idle connection holds no buffer. */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets, held by the client */
    SSL_CTX_set_timeout(ssl, SESSION_S);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, ciphers_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, ciphers_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1) == 1 && tickets_use(ssl);
}

static bool load(struct tls_context *context, const struct tls_files *files,
                 struct error *ret_error)
{
    ERR_clear_error();
    context->ssl = SSL_CTX_new(TLS_server_method());
    if (!context->ssl || !configure(context->ssl))
        return error_set(ret_error, ERROR_INTERNAL, "TLS: %s", openssl_reason());
    return identity_load(context, files, ret_error) &&
           (!files->client_ca || files->client_auth == TLS_CLIENT_NONE ||
            client_ca_load(context, files, ret_error));
}

static void context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

static struct tls_context *context_new(const struct tls_files *files, struct error *ret_error)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        error_no_memory(ret_error);
        return NULL;
    }
    bool loaded = load(context, files, ret_error);
    ERR_clear_error(); /* OpenSSL leaves notes of what it tried, also when it succeeds */
    if (loaded)
        return context;
    context_free(context);
    return NULL;
}

static const char *context_describe(const struct tls_context *context)
{
    return context->description;
}

static const char *context_warning(const struct tls_context *context)
{
    return context->warning;
}

__attribute__((visibility("default"))) const struct tls_library tensord_tls_library = {
    .version = TENSORD_VERSION,
    .context_new = context_new,
    .context_free = context_free,
    .context_describe = context_describe,
    .context_warning = context_warning,
    .session_new = session_new,
    .session_free = session_free,
    .session_handshake = session_handshake,
    .session_read = session_read,
    .session_write = session_write,
    .session_end = session_end,
    .session_protocol = session_protocol,
    .session_client = session_client,
    .session_failure = session_failure,
};
