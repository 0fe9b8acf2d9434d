/* Unit tests of tls/tls.h: two sessions that talk through memory. */
#include "tls/tls_fixture.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIPE_BYTES = 1 << 20 };

static const struct tls_library *const lib = &tensord_tls_library;
static char folder[64];
static struct pki_identity ca, server, other, alice;

static int start_all(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/tls_test.%d", (int)getpid());
    if (mkdir(folder, 0700) != 0)
        return -1;
    ca = pki_make(folder, "ca", (struct pki_options){.subject = "ca", .is_ca = true});
    server =
        pki_make(folder, "server",
                 (struct pki_options){
                     .subject = "models.example", .names = "DNS:models.example", .issuer = &ca});
    other = pki_make(folder, "other", (struct pki_options){.subject = "other", .issuer = &ca});
    alice = pki_make(folder, "alice",
                     (struct pki_options){.subject = "alice",
                                          .names = "DNS:alice.example,URI:spiffe://example/alice,"
                                                   "email:alice@example.org,IP:192.0.2.1,RID:1.2.3",
                                          .issuer = &ca});
    return 0;
}

static int end_all(void **state)
{
    struct pki_identity *const all[] = {&ca, &server, &other, &alice};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pki_free(all[i]);
    return rmdir(folder);
}

static FILE *open_file(const char *path, const char *how)
{
    FILE *file = fopen(path, how);
    if (!file)
        abort();
    return file;
}

/* ---- two sides ---- */

struct side {
    struct tls_session *session;
    struct tls_io io;  /* out: its pipe's end; in: the peer's */
    char *pipe;        /* what it has sent */
    size_t sent, seen; /* bytes of its own pipe that were written, and read by the peer */
    enum tls_result result;
    bool done; /* with the handshake */
};

struct talk {
    struct tls_context *context;
    struct side server, client;
};

static void begin(struct side *side, struct side *peer)
{
    side->io.in = (struct span){peer->pipe + peer->seen, peer->sent - peer->seen};
    side->io.out = (struct room){side->pipe + side->sent, PIPE_BYTES - side->sent};
}

static void finish(struct side *side, struct side *peer)
{
    side->sent = (size_t)(side->io.out.data - side->pipe);
    peer->seen = (size_t)(side->io.in.data - peer->pipe);
}

static void step(struct side *side, struct side *peer)
{
    if (side->done || side->result == TLS_FAILED)
        return;
    begin(side, peer);
    side->result = lib->session_handshake(side->session, &side->io);
    side->done = side->result == TLS_OK;
    finish(side, peer);
}

static struct tls_files files_of(const struct pki_identity *identity)
{
    return (struct tls_files){.certificate = identity->certificate_path, .key = identity->key_path};
}

static struct tls_context *context_of(const struct tls_files *files)
{
    struct error error;
    struct tls_context *context = lib->context_new(files, &error);
    if (!context)
        fail_msg("%s", error.message);
    return context;
}

static void talk_shake(struct talk *talk)
{
    for (int i = 0; i < 4; i++) {
        step(&talk->client, &talk->server);
        step(&talk->server, &talk->client);
    }
}

static void talk_begin(struct talk *talk, const struct tls_files *files, struct tls_session *client)
{
    *talk = (struct talk){.context = context_of(files)};
    talk->client.session = client;
    talk->server.session = lib->session_new(talk->context);
    assert_non_null(talk->client.session);
    assert_non_null(talk->server.session);
    talk->client.pipe = malloc(PIPE_BYTES);
    talk->server.pipe = malloc(PIPE_BYTES);
    assert_true(talk->client.pipe && talk->server.pipe);
}

static void talk_end(struct talk *talk)
{
    lib->session_free(talk->client.session);
    lib->session_free(talk->server.session);
    lib->context_free(talk->context);
    free(talk->client.pipe);
    free(talk->server.pipe);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left in OpenSSL's queue */
}

static void say(struct side *side, struct side *peer, struct span bytes)
{
    begin(side, peer);
    assert_int_equal(lib->session_write(side->session, &side->io, bytes), TLS_OK);
    finish(side, peer);
}

static enum tls_result hear(struct side *side, struct side *peer, char *text, size_t size)
{
    size_t count;
    begin(side, peer);
    enum tls_result result =
        lib->session_read(side->session, &side->io, (struct room){text, size - 1}, &count);
    finish(side, peer);
    text[result == TLS_OK ? count : 0] = '\0';
    return result;
}

static void assert_talks(struct talk *talk)
{
    char text[64];
    assert_true(talk->server.done && talk->client.done);
    say(&talk->client, &talk->server, SPAN("hello"));
    assert_int_equal(hear(&talk->server, &talk->client, text, sizeof text), TLS_OK);
    assert_string_equal(text, "hello");
    say(&talk->server, &talk->client, SPAN("answer"));
    assert_int_equal(hear(&talk->client, &talk->server, text, sizeof text), TLS_OK);
    assert_string_equal(text, "answer");
    assert_int_equal(hear(&talk->server, &talk->client, text, sizeof text), TLS_WANT_INPUT);
}

/* A handshake that the server refuses, with this in its sentence. */
static void assert_refused(struct talk *talk, const char *why)
{
    struct error error = {.message = ""};
    talk_shake(talk);
    assert_int_equal(talk->server.result, TLS_FAILED);
    lib->session_failure(talk->server.session, &error);
    if (!strstr(error.message, why))
        fail_msg("'%s' does not say '%s'", error.message, why);
    assert_true(talk->server.sent > talk->server.seen || talk->client.result == TLS_FAILED);
    talk_end(talk);
}

/* ---- the handshake, and what follows ---- */

static void both_versions_are_spoken(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_files files = files_of(&server);
    for (size_t i = 0; i < 2; i++) {
        struct talk talk;
        talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, versions[i]));
        talk_shake(&talk);
        assert_talks(&talk);
        assert_int_equal(SSL_version(session_ssl(talk.server.session)), versions[i]);
        assert_int_equal(lib->session_protocol(talk.server.session).size, 0);
        talk_end(&talk);
    }
}

static void older_versions_are_refused(void **state)
{
    struct tls_files files = files_of(&server);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, TLS1_1_VERSION));
    assert_refused(&talk, "neither TLS 1.2 nor TLS 1.3");
}

static void alpn_chooses_a_protocol(void **state)
{
    static const struct {
        const char *offered, *chosen;
    } rows[] = {{"\2h2\10http/1.1", "h2"},
                {"\10http/1.1\2h2", "h2"},
                {"\10http/1.1", "http/1.1"},
                {"\10grpc-exp\2h2", "h2"}};
    struct tls_files files = files_of(&server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct talk talk;
        talk_begin(&talk, &files, pki_client(&ca, rows[i].offered, NULL, 0));
        talk_shake(&talk);
        assert_talks(&talk);
        assert_true(
            span_equal(lib->session_protocol(talk.server.session), span_of(rows[i].chosen)));
        talk_end(&talk);
    }
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, "\6spdy/3", NULL, 0));
    assert_refused(&talk, "neither h2 nor http/1.1");
}

static void a_record_fits_into_its_room(void **state)
{
    struct tls_files files = files_of(&server);
    struct talk talk;
    char *big = calloc(1, TLS_RECORD_BYTES), *back = calloc(1, TLS_RECORD_BYTES + 1);
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    talk_shake(&talk);
    begin(&talk.server, &talk.client);
    talk.server.io.out.size = TLS_RECORD_ROOM;
    memset(big, 'x', TLS_RECORD_BYTES);
    assert_int_equal(lib->session_write(talk.server.session, &talk.server.io,
                                        (struct span){big, TLS_RECORD_BYTES}),
                     TLS_OK);
    finish(&talk.server, &talk.client);
    assert_int_equal(hear(&talk.client, &talk.server, back, TLS_RECORD_BYTES + 1), TLS_OK);
    assert_memory_equal(back, big, TLS_RECORD_BYTES);
    free(big);
    free(back);
    talk_end(&talk);
}

static void a_handshake_goes_on_when_there_is_room_again(void **state)
{
    struct tls_files files = files_of(&server);
    struct talk talk;
    int full = 0;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    for (int i = 0; i < 10000 && !(talk.server.done && talk.client.done); i++) {
        step(&talk.client, &talk.server);
        if (talk.server.done)
            continue;
        begin(&talk.server, &talk.client);
        talk.server.io.out.size = 7;
        talk.server.result = lib->session_handshake(talk.server.session, &talk.server.io);
        talk.server.done = talk.server.result == TLS_OK;
        full += talk.server.result == TLS_WANT_ROOM;
        finish(&talk.server, &talk.client);
    }
    assert_true(full > 10);
    assert_talks(&talk);
    talk_end(&talk);
}

static void the_end_is_said_and_heard(void **state)
{
    char text[8];
    struct tls_files files = files_of(&server);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    talk_shake(&talk);
    begin(&talk.client, &talk.server);
    assert_int_equal(lib->session_end(talk.client.session, &talk.client.io), TLS_OK);
    finish(&talk.client, &talk.server);
    assert_int_equal(hear(&talk.server, &talk.client, text, sizeof text), TLS_END);
    begin(&talk.server, &talk.client);
    assert_int_equal(lib->session_end(talk.server.session, &talk.server.io), TLS_OK);
    finish(&talk.server, &talk.client);
    talk_end(&talk);
}

static void what_was_tampered_with_is_refused(void **state)
{
    char text[64];
    struct error error;
    struct tls_files files = files_of(&server);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    talk_shake(&talk);
    say(&talk.client, &talk.server, SPAN("hello"));
    talk.client.pipe[talk.client.sent - 1] ^= 1;
    assert_int_equal(hear(&talk.server, &talk.client, text, sizeof text), TLS_FAILED);
    lib->session_failure(talk.server.session, &error);
    assert_non_null(strstr(error.message, "mac"));
    talk_end(&talk);
}

static void garbage_is_refused(void **state)
{
    struct error error;
    struct tls_files files = files_of(&server);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    memcpy(talk.client.pipe, "\x16\x03\x01\xff\xff garbage", 13);
    talk.client.sent = 13;
    step(&talk.server, &talk.client);
    assert_int_equal(talk.server.result, TLS_FAILED);
    lib->session_failure(talk.server.session, &error);
    assert_true(error.message[0]);
    talk_end(&talk);
}

/* TLS 1.2 with a client that renegotiates: the server says no and goes on. */
static void renegotiation_is_refused(void **state)
{
    struct tls_files files = files_of(&server);
    struct talk talk;
    char text[64];
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, TLS1_2_VERSION));
    talk_shake(&talk);
    SSL *client = (SSL *)(uintptr_t)session_ssl(talk.client.session);
    SSL_clear_options(client, SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(client), 1);
    talk.client.done = false;
    step(&talk.client, &talk.server);
    assert_int_equal(hear(&talk.server, &talk.client, text, sizeof text), TLS_WANT_INPUT);
    step(&talk.client, &talk.server);
    assert_int_equal(talk.client.result, TLS_FAILED);
    talk_end(&talk);
}

/* ---- sessions that are resumed ---- */

/* Whether a second connection resumes the session of a first, with contexts of their own. */
static bool resumes(const struct tls_files *first, const struct tls_files *second, int version,
                    const struct pki_identity *client)
{
    struct talk one, two;
    char text[8];
    talk_begin(&one, first, pki_client(&ca, NULL, client, version));
    talk_shake(&one);
    assert_true(one.server.done && one.client.done);
    assert_int_equal(hear(&one.client, &one.server, text, sizeof text), TLS_WANT_INPUT);
    SSL_SESSION *session = SSL_get1_session((SSL *)(uintptr_t)session_ssl(one.client.session));
    talk_begin(&two, second, pki_client(&ca, NULL, client, version));
    SSL_set_session((SSL *)(uintptr_t)session_ssl(two.client.session), session);
    talk_shake(&two);
    assert_true(two.server.done && two.client.done);
    bool reused = SSL_session_reused(session_ssl(two.server.session));
    SSL_SESSION_free(session);
    talk_end(&one);
    talk_end(&two);
    return reused;
}

static void a_session_is_resumed_across_reloads(void **state)
{
    struct tls_files before = files_of(&server), after = files_of(&other);
    assert_true(resumes(&before, &after, TLS1_2_VERSION, NULL));
    assert_true(resumes(&before, &after, TLS1_3_VERSION, NULL));
}

static void with_client_certificates_nothing_is_resumed(void **state)
{
    struct tls_files open = files_of(&server), mutual = files_of(&server);
    mutual.client_ca = ca.certificate_path;
    mutual.client_auth = TLS_CLIENT_REQUIRE;
    assert_false(resumes(&mutual, &mutual, TLS1_2_VERSION, &alice));
    assert_false(resumes(&mutual, &mutual, TLS1_3_VERSION, &alice));
    assert_false(resumes(&open, &mutual, TLS1_2_VERSION, &alice));
    assert_false(resumes(&open, &mutual, TLS1_3_VERSION, &alice));
}

/* ---- clients' certificates ---- */

static struct tls_files mutual_files(enum tls_client_auth auth)
{
    struct tls_files files = files_of(&server);
    files.client_ca = ca.certificate_path;
    files.client_auth = auth;
    return files;
}

static void a_client_is_known_by_its_certificate(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_files files = mutual_files(TLS_CLIENT_REQUIRE);
    for (size_t i = 0; i < 2; i++) {
        struct talk talk;
        struct tls_client client;
        struct arena arena;
        arena_init(&arena, 1024, 1 << 20);
        talk_begin(&talk, &files, pki_client(&ca, NULL, &alice, versions[i]));
        talk_shake(&talk);
        assert_talks(&talk);
        assert_true(lib->session_client(talk.server.session, &arena, &client, NULL));
        assert_true(span_equal(client.subject, SPAN("CN=alice")));
        assert_true(span_equal(client.common_name, SPAN("alice")));
        assert_int_equal(client.name_count, 4);
        assert_true(span_equal(client.names[0], SPAN("DNS:alice.example")));
        assert_true(span_equal(client.names[1], SPAN("URI:spiffe://example/alice")));
        assert_true(span_equal(client.names[2], SPAN("email:alice@example.org")));
        assert_true(span_equal(client.names[3], SPAN("IP:192.0.2.1")));
        arena_fini(&arena);
        talk_end(&talk);
    }
}

static void assert_anonymous(const struct tls_files *files, const struct pki_identity *identity)
{
    struct talk talk;
    struct tls_client client;
    struct arena arena;
    struct error error;
    arena_init(&arena, 1024, 1 << 20);
    talk_begin(&talk, files, pki_client(&ca, NULL, identity, 0));
    talk_shake(&talk);
    assert_talks(&talk);
    assert_false(lib->session_client(talk.server.session, &arena, &client, &error));
    assert_int_equal(error.code, ERROR_UNAUTHENTICATED);
    arena_fini(&arena);
    talk_end(&talk);
}

static void a_client_that_is_not_asked_is_nobody(void **state)
{
    struct tls_files files = files_of(&server), none = mutual_files(TLS_CLIENT_NONE);
    assert_anonymous(&files, &alice);
    assert_anonymous(&none, &alice);
}

static void a_client_that_is_only_asked_may_show_none(void **state)
{
    struct tls_files files = mutual_files(TLS_CLIENT_REQUEST);
    assert_anonymous(&files, NULL);
}

static void refuse_client(enum tls_client_auth auth, struct pki_identity *identity, const char *why)
{
    struct tls_files files = mutual_files(auth);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, identity, 0));
    assert_refused(&talk, why);
    if (identity)
        pki_free(identity);
}

static void bad_certificates_of_clients_are_refused(void **state)
{
    for (enum tls_client_auth auth = TLS_CLIENT_REQUEST; auth <= TLS_CLIENT_REQUIRE; auth++) {
        struct pki_identity expired = pki_make(
            folder, "expired",
            (struct pki_options){.subject = "x", .issuer = &ca, .from_days = -10, .to_days = -1});
        refuse_client(auth, &expired, "certificate is refused: certificate has expired");
        struct pki_identity early = pki_make(
            folder, "early",
            (struct pki_options){.subject = "x", .issuer = &ca, .from_days = 1, .to_days = 10});
        refuse_client(auth, &early, "certificate is refused: certificate is not yet valid");
        struct pki_identity own = pki_make(folder, "own", (struct pki_options){.subject = "x"});
        refuse_client(auth, &own, "certificate is refused: self-signed certificate");
        struct pki_identity forged =
            pki_make(folder, "forged", (struct pki_options){.subject = "ca", .is_ca = true});
        struct pki_identity of_forged =
            pki_make(folder, "of_forged", (struct pki_options){.subject = "x", .issuer = &forged});
        refuse_client(auth, &of_forged, "certificate is refused: ");
        pki_free(&forged);
    }
    refuse_client(TLS_CLIENT_REQUIRE, NULL, "the client showed no certificate");
}

/* A list that revokes alice's, behind the certificate of its signer. */
static void a_revoked_certificate_is_refused(void **state)
{
    char path[96];
    X509_CRL *list = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *later = X509_gmtime_adj(NULL, 3600);
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(alice.certificate));
    X509_REVOKED_set_revocationDate(entry, now);
    X509_CRL_set_version(list, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(ca.certificate));
    X509_CRL_set1_lastUpdate(list, now);
    X509_CRL_set1_nextUpdate(list, later);
    X509_CRL_add0_revoked(list, entry);
    assert_true(X509_CRL_sign(list, ca.key, EVP_sha256()) > 0);
    snprintf(path, sizeof path, "%s/revoked.pem", folder);
    FILE *to = open_file(path, "we");
    PEM_write_X509(to, ca.certificate);
    PEM_write_X509_CRL(to, list);
    fclose(to);
    struct tls_files files = mutual_files(TLS_CLIENT_REQUIRE);
    files.client_ca = path;
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, &alice, 0));
    assert_refused(&talk, "certificate is refused: certificate revoked");
    talk_begin(&talk, &files, pki_client(&ca, NULL, &other, 0));
    talk_shake(&talk);
    assert_talks(&talk);
    talk_end(&talk);
    unlink(path);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(list);
}

/* ---- files ---- */

static void assert_not_loaded(const struct tls_files *files, const char *path, const char *why)
{
    struct error error = {.message = ""};
    assert_null(lib->context_new(files, &error));
    if (!strstr(error.message, path) || !strstr(error.message, why))
        fail_msg("'%s' does not name '%s', or say '%s'", error.message, path, why);
    assert_int_equal(ERR_peek_error(), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *to = open_file(path, "we");
    fputs(text, to);
    fclose(to);
}

static void what_is_wrong_with_the_files_is_said(void **state)
{
    char path[96];
    struct tls_files good = files_of(&server), files = good;
    snprintf(path, sizeof path, "%s/some.pem", folder);
    files.certificate = "/no/such/file";
    assert_not_loaded(&files, "/no/such/file", "No such file");
    files.certificate = folder;
    assert_not_loaded(&files, folder, "it is no file");
    files.certificate = server.key_path;
    assert_not_loaded(&files, server.key_path, "has no certificate in PEM form");
    files.certificate = path;
    write_text(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_not_loaded(&files, path, "has no certificate");
    write_text(path, "");
    assert_not_loaded(&files, path, "has no certificate");
    files = good;
    files.key = path;
    assert_not_loaded(&files, path, "has no private key in PEM form");
    files.key = other.key_path;
    assert_not_loaded(&files, other.key_path, "does not belong to the first certificate");
    files = good;
    files.client_ca = path;
    files.client_auth = TLS_CLIENT_REQUIRE;
    assert_not_loaded(&files, path, "has no certificate in PEM form");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    files = good;
    files.key = path;
    assert_not_loaded(&files, path, "it is no file");
    unlink(path);
}

static void an_expired_certificate_is_no_start(void **state)
{
    struct pki_identity expired = pki_make(
        folder, "expired",
        (struct pki_options){.subject = "x", .issuer = &ca, .from_days = -10, .to_days = -1});
    struct tls_files files = files_of(&expired);
    assert_not_loaded(&files, expired.certificate_path, "expired on 20");
    pki_free(&expired);
}

static void an_encrypted_key_is_refused(void **state)
{
    char path[96];
    snprintf(path, sizeof path, "%s/encrypted.key", folder);
    FILE *to = open_file(path, "we");
    PEM_write_PKCS8PrivateKey(to, server.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    fclose(to);
    struct tls_files files = files_of(&server);
    files.key = path;
    assert_not_loaded(&files, path, "is encrypted");
    unlink(path);
}

/* RSA of 1,024 bits. */
static void a_weak_key_is_refused(void **state)
{
    struct pki_identity weak =
        pki_make(folder, "weak", (struct pki_options){.subject = "x", .issuer = &ca});
    EVP_PKEY_free(weak.key);
    weak.key = EVP_RSA_gen(1024);
    X509_set_pubkey(weak.certificate, weak.key);
    assert_true(X509_sign(weak.certificate, ca.key, EVP_sha256()) > 0);
    FILE *to = open_file(weak.certificate_path, "we");
    PEM_write_X509(to, weak.certificate);
    fclose(to);
    struct tls_files files = files_of(&weak);
    assert_not_loaded(&files, weak.certificate_path, "is not accepted: ee key too small");
    pki_free(&weak);
}

/* The server sends it behind its own, so that clients who only know the root can follow. */
static void the_certificates_behind_the_first_are_sent(void **state)
{
    struct pki_identity middle = pki_make(
        folder, "middle", (struct pki_options){.subject = "m", .issuer = &ca, .is_ca = true});
    struct pki_identity leaf =
        pki_make(folder, "leaf", (struct pki_options){.subject = "l", .issuer = &middle});
    struct tls_files files = files_of(&leaf);
    FILE *to = open_file(leaf.certificate_path, "ae");
    PEM_write_X509(to, middle.certificate);
    fclose(to);
    struct talk talk;
    talk_begin(&talk, &files, pki_client(&ca, NULL, NULL, 0));
    talk_shake(&talk);
    assert_talks(&talk);
    talk_end(&talk);
    write_text(leaf.certificate_path, "");
    to = open_file(leaf.certificate_path, "we");
    PEM_write_X509(to, leaf.certificate);
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", to);
    fclose(to);
    assert_not_loaded(&files, leaf.certificate_path, "is damaged");
    pki_free(&leaf);
    pki_free(&middle);
}

static void assert_warned(const struct tls_files *files, const char *warning)
{
    struct tls_context *context = context_of(files);
    if (warning[0] ? !strstr(lib->context_warning(context), warning)
                   : lib->context_warning(context)[0] != '\0')
        fail_msg("'%s' does not say '%s'", lib->context_warning(context), warning);
    lib->context_free(context);
}

static void what_is_dubious_is_a_warning(void **state)
{
    struct pki_identity dubious = pki_make(
        folder, "dubious",
        (struct pki_options){.subject = "x", .issuer = &ca, .from_days = -10, .to_days = 2});
    struct tls_files good = files_of(&server), files = files_of(&dubious);
    assert_warned(&good, "");
    assert_warned(&files, "the certificate expires on 20");
    assert_int_equal(chmod(dubious.key_path, 0644), 0);
    assert_warned(&files, "every user may read the key");
    assert_int_equal(chmod(dubious.key_path, 0640), 0); /* a group of its own is usual */
    pki_free(&dubious);
    struct tls_context *context = context_of(&good);
    assert_non_null(strstr(lib->context_describe(context), "CN=models.example, valid until 20"));
    lib->context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_spoken),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(alpn_chooses_a_protocol),
        cmocka_unit_test(a_record_fits_into_its_room),
        cmocka_unit_test(a_handshake_goes_on_when_there_is_room_again),
        cmocka_unit_test(the_end_is_said_and_heard),
        cmocka_unit_test(what_was_tampered_with_is_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(a_session_is_resumed_across_reloads),
        cmocka_unit_test(with_client_certificates_nothing_is_resumed),
        cmocka_unit_test(a_client_is_known_by_its_certificate),
        cmocka_unit_test(a_client_that_is_not_asked_is_nobody),
        cmocka_unit_test(a_client_that_is_only_asked_may_show_none),
        cmocka_unit_test(bad_certificates_of_clients_are_refused),
        cmocka_unit_test(a_revoked_certificate_is_refused),
        cmocka_unit_test(what_is_wrong_with_the_files_is_said),
        cmocka_unit_test(an_expired_certificate_is_no_start),
        cmocka_unit_test(an_encrypted_key_is_refused),
        cmocka_unit_test(a_weak_key_is_refused),
        cmocka_unit_test(the_certificates_behind_the_first_are_sent),
        cmocka_unit_test(what_is_dubious_is_a_warning),
    };
    return cmocka_run_group_tests_name("tls", tests, start_all, end_all);
}
