/* Keys of session tickets (RFC 5077, RFC 8446 §4.6.1), with which clients resume a session.
 *
 * The keys are the process's, not a context's: a reload of the certificate leaves them alone. They
 * are replaced every ROTATION_S, and the ones before are good for as long again, so that a key is
 * gone two hours after it was made, and with it the means to read what was recorded then over TLS
 * 1.2. OpenSSL's own keys would live as long as the process. */
#include "tls/tls_private.h"

#include "base/clock.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

enum { ROTATION_S = 3600, NAME_BYTES = 16, KEY_BYTES = 32, CURRENT = 0, FORMER = 1 };

struct ticket_key {
    bool usable;
    uint64_t made_ns;
    unsigned char name[NAME_BYTES]; /* stands in the ticket */
    unsigned char cipher[KEY_BYTES];
    unsigned char mac[KEY_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* once a handshake */
static struct ticket_key keys[2];
static EVP_CIPHER *cipher; /* fetched once, for that takes longer than using it */

static bool make_key(struct ticket_key *ret_key, uint64_t now_ns)
{
    struct ticket_key key = {.usable = true, .made_ns = now_ns};
    if (RAND_bytes(key.name, sizeof key.name) != 1 ||
        RAND_priv_bytes(key.cipher, sizeof key.cipher) != 1 ||
        RAND_priv_bytes(key.mac, sizeof key.mac) != 1)
        return false;
    *ret_key = key;
    OPENSSL_cleanse(&key, sizeof key);
    return true;
}

static uint64_t age_ns(const struct ticket_key *key, uint64_t now_ns)
{
    return key->usable ? now_ns - key->made_ns : UINT64_MAX;
}

/* Lets the keys age. */
static void rotate(uint64_t now_ns)
{
    const uint64_t period_ns = ROTATION_S * CLOCK_NS_PER_S;
    if (age_ns(&keys[CURRENT], now_ns) < period_ns)
        return;
    keys[FORMER] = keys[CURRENT];
    if (age_ns(&keys[FORMER], now_ns) >= 2 * period_ns)
        OPENSSL_cleanse(&keys[FORMER], sizeof keys[FORMER]);
    OPENSSL_cleanse(&keys[CURRENT], sizeof keys[CURRENT]);
    make_key(&keys[CURRENT], now_ns);
}

static bool use_key(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *crypt,
                    EVP_MAC_CTX *mac, int encrypt)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac,
                                          sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
           EVP_CipherInit_ex2(crypt, cipher, key->cipher, iv, encrypt, NULL) == 1;
}

static int seal(unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *crypt, EVP_MAC_CTX *mac)
{
    if (!keys[CURRENT].usable || RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) != 1)
        return 0; /* no ticket, and all goes on */
    memcpy(name, keys[CURRENT].name, NAME_BYTES);
    return use_key(&keys[CURRENT], iv, crypt, mac, 1) ? 1 : -1;
}

static int open_seal(const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *crypt,
                     EVP_MAC_CTX *mac)
{
    for (int i = CURRENT; i <= FORMER; i++) {
        if (!keys[i].usable || memcmp(name, keys[i].name, NAME_BYTES) != 0)
            continue;
        if (!use_key(&keys[i], iv, crypt, mac, 0))
            return -1;
        return i == CURRENT ? 1 : 2; /* 2: good, and the client gets a new one */
    }
    return 0; /* a full handshake */
}

/* See SSL_CTX_set_tlsext_ticket_key_evp_cb(3) for what is returned. */
static int on_ticket(SSL *ssl, unsigned char name[NAME_BYTES], unsigned char *iv,
                     EVP_CIPHER_CTX *crypt, EVP_MAC_CTX *mac, int encrypt)
{
    pthread_mutex_lock(&lock);
    rotate(clock_now_ns());
    int result = encrypt ? seal(name, iv, crypt, mac) : open_seal(name, iv, crypt, mac);
    pthread_mutex_unlock(&lock);
    return result;
}

bool tickets_use(SSL_CTX *ssl)
{
    pthread_mutex_lock(&lock);
    if (!cipher)
        cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    bool fetched = cipher != NULL;
    pthread_mutex_unlock(&lock);
    return fetched && SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1;
}
