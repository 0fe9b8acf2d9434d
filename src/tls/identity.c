/* The server's certificate and key. */
#include "tls/tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SOON_DAYS = 7 };

static void warn(struct tls_context *context, const char *sentence)
{
    size_t used = strlen(context->warning);
    snprintf(context->warning + used, sizeof context->warning - used, "%s%s", used ? "; " : "",
             sentence);
}

/* "2027-01-31" */
static void format_date(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm date = {0};
    if (ASN1_TIME_to_tm(time, &date) != 1 || strftime(text, size, "%Y-%m-%d", &date) == 0)
        snprintf(text, size, "an unknown date");
}

static void describe(struct tls_context *context, X509 *certificate)
{
    char until[32], subject[200] = "";
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio) {
        X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
        int size = BIO_read(bio, subject, sizeof subject - 1);
        subject[size > 0 ? size : 0] = '\0';
        BIO_free(bio);
    }
    format_date(X509_get0_notAfter(certificate), until, sizeof until);
    snprintf(context->description, sizeof context->description, "%s, valid until %s",
             subject[0] ? subject : "a certificate without a subject", until);
}

static bool check_dates(struct tls_context *context, const char *path, const X509 *certificate,
                        struct error *ret_error)
{
    char date[32], sentence[200];
    time_t soon = time(NULL) + SOON_DAYS * 24 * 3600;
    format_date(X509_get0_notAfter(certificate), date, sizeof date);
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the certificate in '%s' expired on %s",
                         path, date);
    if (X509_cmp_time(X509_get0_notAfter(certificate), &soon) < 0) {
        snprintf(sentence, sizeof sentence, "the certificate expires on %s", date);
        warn(context, sentence);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        warn(context, "the certificate is not valid yet");
    return true;
}

/* The certificates behind the first, each of which should have signed the one before it. */
static bool read_chain(struct tls_context *context, X509 *own, BIO *bio, const char *path,
                       struct error *ret_error)
{
    X509 *next;
    X509 *before = own;
    bool ordered = true;
    while ((next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (SSL_CTX_add0_chain_cert(context->ssl, next) != 1) {
            X509_free(next);
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "a certificate in '%s' is not accepted: %s", path, openssl_reason());
        }
        ordered = ordered && X509_check_issued(next, before) == X509_V_OK;
        before = next;
    }
    if (!ordered)
        warn(context, "the certificates in the file are no chain, so that clients may refuse them: "
                      "the server's own should come first, then that of who signed it, and so on");
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a certificate in '%s' is damaged: %s",
                         path, openssl_reason());
    ERR_clear_error();
    return true;
}

static bool load_certificate(struct tls_context *context, const char *path, struct error *ret_error)
{
    unsigned mode;
    BIO *bio = pem_file_open(path, &mode, ret_error);
    if (!bio)
        return false;
    X509 *own = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool fine = own != NULL;
    if (!fine)
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%s' has no certificate in PEM form", path);
    fine = fine && check_dates(context, path, own, ret_error);
    if (fine && SSL_CTX_use_certificate(context->ssl, own) != 1)
        fine = error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the certificate in '%s' is not accepted: %s", path, openssl_reason());
    fine = fine && read_chain(context, own, bio, path, ret_error);
    if (fine)
        describe(context, own);
    X509_free(own);
    BIO_free(bio);
    return fine;
}

/* Nobody is there to type a passphrase. */
static int refuse_passphrase(char *buffer, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static bool use_key(SSL_CTX *ssl, EVP_PKEY *key, const struct tls_files *files,
                    struct error *ret_error)
{
    if (X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the key in '%s' does not belong to the first certificate in '%s'",
                         files->key, files->certificate);
    if (SSL_CTX_use_PrivateKey(ssl, key) != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the key in '%s' is not accepted: %s",
                         files->key, openssl_reason());
    return true;
}

static bool load_key(struct tls_context *context, const struct tls_files *files,
                     struct error *ret_error)
{
    char sentence[300];
    unsigned mode;
    bool encrypted = false;
    BIO *bio = pem_file_open(files->key, &mode, ret_error);
    if (!bio)
        return false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &encrypted);
    BIO_free(bio);
    if (!key)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         encrypted ? "the key in '%s' is encrypted; a server cannot ask for its "
                                     "passphrase: store it without one"
                                   : "'%s' has no private key in PEM form",
                         files->key);
    bool fine = use_key(context->ssl, key, files, ret_error);
    EVP_PKEY_free(key);
    if (mode & S_IROTH) {
        snprintf(sentence, sizeof sentence,
                 "every user may read the key in '%s': chmod 600 would help", files->key);
        warn(context, sentence);
    }
    return fine;
}

bool identity_load(struct tls_context *context, const struct tls_files *files,
                   struct error *ret_error)
{
    return load_certificate(context, files->certificate, ret_error) &&
           load_key(context, files, ret_error);
}
