/* Clients' certificates (mutual TLS): who may sign them, and who a client is. */
#include "tls/tls_private.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ---- who may sign them ---- */

static bool add_certificate(SSL_CTX *ssl, X509_STORE *store, X509 *certificate)
{
    /* Its name goes to clients that have several certificates, so that they can choose. */
    return X509_STORE_add_cert(store, certificate) == 1 &&
           SSL_CTX_add_client_CA(ssl, certificate) == 1;
}

static bool add_revocations(X509_STORE *store, X509_CRL *list)
{
    return X509_STORE_add_crl(store, list) == 1 &&
           X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
}

static bool add_all(SSL_CTX *ssl, X509_STORE *store, STACK_OF(X509_INFO) * items, int *ret_count)
{
    for (int i = 0; i < sk_X509_INFO_num(items); i++) {
        const X509_INFO *item = sk_X509_INFO_value(items, i);
        if (item->x509 && !add_certificate(ssl, store, item->x509))
            return false;
        if (item->crl && !add_revocations(store, item->crl))
            return false;
        *ret_count += item->x509 != NULL;
    }
    return true;
}

static bool fill(SSL_CTX *ssl, X509_STORE *store, const char *path, struct error *ret_error)
{
    int count = 0;
    unsigned mode;
    BIO *bio = pem_file_open(path, &mode, ret_error);
    if (!bio)
        return false;
    STACK_OF(X509_INFO) *items = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bool fine = items && add_all(ssl, store, items, &count);
    if (!fine)
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%s' is damaged: %s", path, openssl_reason());
    else if (count == 0)
        fine = error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%s' has no certificate in PEM form",
                         path);
    sk_X509_INFO_pop_free(items, X509_INFO_free);
    return fine;
}

/* A session that is resumed shows no certificate: it could outlive the certificate, or its
 * revocation, for ever. So there are no tickets; every connection shows its certificate anew. */
static void forbid_resumption(SSL_CTX *ssl)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ssl, 0);
}

bool client_ca_load(struct tls_context *context, const struct tls_files *files,
                    struct error *ret_error)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return error_no_memory(ret_error);
    /* Each authority in the file is trusted as it stands, one below a root as well. */
    bool fine = X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
                fill(context->ssl, store, files->client_ca, ret_error) &&
                SSL_CTX_set1_verify_cert_store(context->ssl, store) == 1;
    X509_STORE_free(store);
    int required = files->client_auth == TLS_CLIENT_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | required, NULL);
    forbid_resumption(context->ssl);
    return fine;
}

/* ---- who a client is ---- */

static bool copy_subject(struct arena *arena, X509 *certificate, struct span *ret_subject)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return false;
    X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    long size = BIO_get_mem_data(bio, &text);
    bool fine = arena_copy(arena, (struct span){text, (size_t)size}, ret_subject);
    BIO_free(bio);
    return fine;
}

/* As UTF-8. A NUL inside would make other programs see another name: such a name is none. */
static bool copy_string(struct arena *arena, const char *prefix, const ASN1_STRING *string,
                        struct span *ret_text)
{
    unsigned char *utf8;
    int size = string ? ASN1_STRING_to_UTF8(&utf8, string) : -1;
    if (size < 0)
        return true;
    bool whole = memchr(utf8, '\0', (size_t)size) == NULL;
    const char *text = whole ? arena_printf(arena, "%s%.*s", prefix, size, (char *)utf8) : NULL;
    OPENSSL_free(utf8);
    if (text)
        *ret_text = span_of(text);
    return text || !whole;
}

static bool copy_common_name(struct arena *arena, X509 *certificate, struct span *ret_name)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(subject, at);
    return !entry || copy_string(arena, "", X509_NAME_ENTRY_get_data(entry), ret_name);
}

static bool copy_address(struct arena *arena, const ASN1_OCTET_STRING *bytes, struct span *ret_text)
{
    char text[INET6_ADDRSTRLEN];
    int size = ASN1_STRING_length(bytes);
    if (size != sizeof(struct in_addr) && size != sizeof(struct in6_addr))
        return true;
    inet_ntop(size == sizeof(struct in_addr) ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes),
              text, sizeof text);
    const char *copy = arena_printf(arena, "IP:%s", text);
    *ret_text = span_of(copy);
    return copy != NULL;
}

/* Leaves *ret_text empty for a kind that has no use here. */
static bool copy_name(struct arena *arena, const GENERAL_NAME *name, struct span *ret_text)
{
    int type;
    void *value = GENERAL_NAME_get0_value(name, &type);
    switch (type) {
    case GEN_DNS:
        return copy_string(arena, "DNS:", value, ret_text);
    case GEN_URI:
        return copy_string(arena, "URI:", value, ret_text);
    case GEN_EMAIL:
        return copy_string(arena, "email:", value, ret_text);
    case GEN_IPADD:
        return copy_address(arena, value, ret_text);
    default:
        return true;
    }
}

static bool copy_names(struct arena *arena, const GENERAL_NAMES *from, struct tls_client *to)
{
    int count = sk_GENERAL_NAME_num(from); /* -1 without the extension */
    struct span *names = arena_calloc(arena, count > 0 ? (size_t)count : 0, sizeof *names);
    if (!names)
        return false;
    to->names = names;
    for (int i = 0; i < count; i++) {
        if (!copy_name(arena, sk_GENERAL_NAME_value(from, i), &names[to->name_count]))
            return false;
        to->name_count += names[to->name_count].size > 0;
    }
    return true;
}

static bool copy_client(struct arena *arena, X509 *certificate, struct tls_client *to)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool fine = copy_subject(arena, certificate, &to->subject) &&
                copy_common_name(arena, certificate, &to->common_name) &&
                copy_names(arena, names, to);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return fine;
}

bool session_client(const struct tls_session *session, struct arena *arena,
                    struct tls_client *ret_client, struct error *ret_error)
{
    struct tls_client client = {.subject = {NULL, 0}};
    const SSL *ssl = session_ssl(session);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK ||
        !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the client showed no certificate");
    if (!copy_client(arena, certificate, &client))
        return error_no_memory(ret_error);
    *ret_client = client;
    return true;
}
