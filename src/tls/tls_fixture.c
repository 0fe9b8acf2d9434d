/* Certificates and clients for tests; see tls_fixture.h. Elliptic keys, because they are made in no
 * time. */
#include "tls/tls_fixture.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 24 * 3600 };

static void set_name(X509 *certificate, const char *subject)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    if (subject)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1,
                                   -1, 0);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const struct pki_options *options)
{
    static long serial = 1;
    X509 *made = X509_new();
    bool usual = options->from_days == 0 && options->to_days == 0;
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), DAY_S * (usual ? -1L : options->from_days));
    X509_gmtime_adj(X509_getm_notAfter(made), DAY_S * (usual ? 30L : options->to_days));
    set_name(made, options->subject);
    X509_set_issuer_name(
        made, X509_get_subject_name(options->issuer ? options->issuer->certificate : made));
    X509_set_pubkey(made, key);
    if (options->is_ca)
        add_extension(made, NID_basic_constraints, "critical,CA:TRUE");
    if (options->names)
        add_extension(made, NID_subject_alt_name, options->names);
    int size = X509_sign(made, options->issuer ? options->issuer->key : key, EVP_sha256());
    assert(size > 0);
    return made;
}

static void write_files(const struct pki_identity *made)
{
    FILE *to = fopen(made->certificate_path, "we");
    assert(to);
    PEM_write_X509(to, made->certificate);
    fclose(to);
    mode_t mask = umask(077);
    to = fopen(made->key_path, "we");
    umask(mask);
    assert(to);
    PEM_write_PrivateKey(to, made->key, NULL, NULL, 0, NULL, NULL);
    fclose(to);
}

struct pki_identity pki_make(const char *folder, const char *name, struct pki_options options)
{
    struct pki_identity made = {.key = EVP_EC_gen("P-256")};
    assert(made.key);
    made.certificate = make_certificate(made.key, &options);
    snprintf(made.certificate_path, sizeof made.certificate_path, "%s/%s.crt", folder, name);
    snprintf(made.key_path, sizeof made.key_path, "%s/%s.key", folder, name);
    write_files(&made);
    return made;
}

void pki_free(struct pki_identity *identity)
{
    if (!identity->key)
        return;
    unlink(identity->certificate_path);
    unlink(identity->key_path);
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    *identity = (struct pki_identity){.key = NULL};
}

struct tls_session *pki_client(const struct pki_identity *ca, const char *protocols,
                               const struct pki_identity *identity, int max_version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert(context);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca->certificate);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_max_proto_version(context, max_version);
    SSL_CTX_set_security_level(context, 0); /* may offer what is refused */
    if (max_version && max_version < TLS1_2_VERSION)
        SSL_CTX_set_cipher_list(context, "ALL@SECLEVEL=0");
    if (protocols)
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)protocols,
                                (unsigned)strlen(protocols));
    if (identity) {
        SSL_CTX_use_certificate(context, identity->certificate);
        SSL_CTX_use_PrivateKey(context, identity->key);
    }
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context); /* the SSL holds it */
    SSL_set_connect_state(ssl);
    return session_with(ssl);
}
