/* A gRPC server of the services that conformance tests need, over the same protocol layer as
 * tensord's. For tests only.
 *
 *     grpc_test_server conformance    as connectconformance starts a server: asked and answered by
 *                                     messages on standard input and output, each behind its length
 *     grpc_test_server [CERT KEY]     says "port N" and serves; with TLS if PEM files are named
 *
 * Ends on SIGTERM. */
#include "call.h"

#include "secure.h"

#include "codec/conformance.pb.h"
#include "net/listener.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { CONNS = 1000, MESSAGE_LIMIT_BYTES = 64 << 20, GREETING_BYTES = 1 << 20 };

static size_t limit_bytes = MESSAGE_LIMIT_BYTES;
static struct loop *loop;

static void on_request(struct http_server *server, struct http_exchange *exchange)
{
    test_call_begin(exchange, limit_bytes);
}

static void on_connection(void *context, struct conn *conn)
{
    http_serve(context, conn);
}

static void on_terminate(uv_signal_t *handle, int number)
{
    loop_stop(loop);
}

/* Whether TLS is spoken, and with what. */
struct wanted {
    bool tls;
    struct tls_files files;
    char paths[3][SECURE_PATH_BYTES];
    struct span certificate; /* PEM, for the answer to connectconformance */
};

static bool take_tls(const struct conformance_server_compat_request *request,
                     struct wanted *ret_wanted, struct error *ret_error)
{
    struct wanted *wanted = ret_wanted;
    if (!request->use_tls)
        return true;
    if (!request->server_creds)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "TLS without a certificate");
    wanted->tls = true;
    wanted->certificate = request->server_creds->cert;
    wanted->files = (struct tls_files){.certificate = wanted->paths[0], .key = wanted->paths[1]};
    if (request->client_tls_cert.size) {
        wanted->files.client_ca = wanted->paths[2];
        wanted->files.client_auth = TLS_CLIENT_REQUIRE;
    }
    return secure_file(request->server_creds->cert, wanted->paths[0], ret_error) &&
           secure_file(request->server_creds->key, wanted->paths[1], ret_error) &&
           secure_file(request->client_tls_cert, wanted->paths[2], ret_error);
}

/* The request of connectconformance; what it says lies in the arena. */
static bool read_greeting(struct arena *arena, struct wanted *ret_wanted, struct error *ret_error)
{
    uint32_t size;
    struct conformance_server_compat_request request;
    if (fread(&size, sizeof size, 1, stdin) != 1 || ntohl(size) > GREETING_BYTES / 2)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot read what is asked");
    char *bytes = arena_alloc(arena, ntohl(size) + 1);
    if (!bytes || fread(bytes, 1, ntohl(size), stdin) != ntohl(size))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot read what is asked");
    if (!pb_decode(&conformance_server_compat_request_pb, (struct span){bytes, ntohl(size)}, arena,
                   &request, ret_error))
        return false;
    if (request.message_receive_limit)
        limit_bytes = request.message_receive_limit;
    return take_tls(&request, ret_wanted, ret_error);
}

static bool write_greeting(unsigned port, struct span certificate)
{
    const struct conformance_server_compat_response response = {
        .host = SPAN("127.0.0.1"), .port = port, .pem_cert = certificate};
    struct buf buf;
    buf_init(&buf, GREETING_BYTES);
    bool good = pb_encode(&conformance_server_compat_response_pb, &response, &buf);
    uint32_t size = htonl((uint32_t)buf.size);
    good = good && fwrite(&size, sizeof size, 1, stdout) == 1 &&
           fwrite(buf.data, buf.size, 1, stdout) == 1 && fflush(stdout) == 0;
    buf_fini(&buf);
    return good;
}

static struct listener *listen_anywhere(struct http_server *server, struct tls_server *tls,
                                        struct error *ret_error)
{
    struct listen_socket socket;
    if (!listen_socket_open("127.0.0.1:0", LISTEN_MAIN, 0600, &socket, ret_error))
        return NULL;
    return listener_new(loop, &socket, tls, CONNS, on_connection, server, ret_error);
}

/* Serves until SIGTERM; `conformance`: says where, as connectconformance wants it. */
static bool serve(const struct wanted *wanted, bool conformance, struct error *ret_error)
{
    struct http_server server;
    uv_signal_t terminate;
    struct tls_server *tls = wanted->tls ? secure_new(loop, &wanted->files, ret_error) : NULL;
    if (wanted->tls && !tls)
        return false;
    http_server_init(&server, on_request, NULL);
    struct listener *listener = listen_anywhere(&server, tls, ret_error);
    if (!listener)
        return false;
    unsigned port = listener_port(listener);
    if (conformance ? !write_greeting(port, wanted->certificate)
                    : printf("port %u\n", port) < 0 || fflush(stdout) != 0)
        return error_set(ret_error, ERROR_INTERNAL, "cannot write the answer");
    uv_signal_init(loop_uv(loop), &terminate);
    uv_signal_start(&terminate, on_terminate, SIGTERM);
    loop_run(loop);
    listener_close(listener);
    uv_close((uv_handle_t *)&terminate, NULL);
    loop_free(loop);
    http_server_fini(&server);
    tls_server_free(tls);
    return true;
}

int main(int count, char **arguments)
{
    struct arena arena;
    struct error error = {0};
    struct wanted wanted = {0};
    bool conformance = count == 2 && strcmp(arguments[1], "conformance") == 0;
    if (count == 3) {
        wanted.tls = true;
        wanted.files = (struct tls_files){.certificate = arguments[1], .key = arguments[2]};
    }
    arena_init(&arena, 1024, GREETING_BYTES);
    loop = loop_new(&error);
    bool good = loop && (!conformance || read_greeting(&arena, &wanted, &error)) &&
                serve(&wanted, conformance, &error);
    if (!good)
        fprintf(stderr, "grpc_test_server: %s\n", error.message);
    arena_fini(&arena);
    return good ? 0 : 1;
}
