/* Certificates for tests, made on the spot, and clients. */
#ifndef TENSORD_TLS_TLS_FIXTURE_H
#define TENSORD_TLS_TLS_FIXTURE_H

#include "tls/tls_private.h"

/* A certificate and its key, in memory and as PEM files. */
struct pki_identity {
    X509 *certificate;
    EVP_PKEY *key;
    char certificate_path[96];
    char key_path[96];
};

/* What makes a certificate differ from a good one of a server or client. */
struct pki_options {
    const char *subject;               /* its common name */
    const char *names;                 /* subjectAltName as openssl.cnf has it; NULL: none */
    const struct pki_identity *issuer; /* NULL: signed by itself */
    int from_days, to_days;            /* from now; both 0: yesterday to next month */
    bool is_ca;
};

/* Makes it, and writes NAME.crt and NAME.key into the folder. */
struct pki_identity pki_make(const char *folder, const char *name, struct pki_options options);

/* Removes the files and frees the rest. */
void pki_free(struct pki_identity *identity);

/* A client's session; it trusts `ca`, offers the protocols in ALPN's form (NULL: none), and has the
 * identity (NULL: none). max_version 0: the newest. */
struct tls_session *pki_client(const struct pki_identity *ca, const char *protocols,
                               const struct pki_identity *identity, int max_version);

#endif
