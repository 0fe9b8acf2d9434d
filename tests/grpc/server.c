/* A gRPC server of the services that conformance tests need, over the same protocol layer as
 * tensord's. For tests only.
 *
 *     grpc_test_server conformance   as connectconformance starts a server: asked and answered by
 * messages on standard input and output, each behind its length grpc_test_server               says
 * "port N" and serves
 *
 * Ends on SIGTERM. */
#include "call.h"

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

static int complain(const char *what)
{
    fprintf(stderr, "grpc_test_server: %s\n", what);
    return 1;
}

/* The request of connectconformance. */
static bool read_greeting(void)
{
    uint32_t size;
    struct arena arena;
    struct error error;
    struct conformance_server_compat_request request;
    arena_init(&arena, 1024, GREETING_BYTES);
    if (fread(&size, sizeof size, 1, stdin) != 1 || ntohl(size) > GREETING_BYTES)
        return false;
    char *bytes = malloc(ntohl(size) + 1);
    bool good = bytes && fread(bytes, 1, ntohl(size), stdin) == ntohl(size) &&
                pb_decode(&conformance_server_compat_request_pb, (struct span){bytes, ntohl(size)},
                          &arena, &request, &error) &&
                !request.use_tls;
    if (good && request.message_receive_limit)
        limit_bytes = request.message_receive_limit;
    free(bytes);
    arena_fini(&arena);
    return good;
}

static bool write_greeting(unsigned port)
{
    const struct conformance_server_compat_response response = {.host = SPAN("127.0.0.1"),
                                                                .port = port};
    struct buf buf;
    buf_init(&buf, GREETING_BYTES);
    bool good = pb_encode(&conformance_server_compat_response_pb, &response, &buf);
    uint32_t size = htonl((uint32_t)buf.size);
    good = good && fwrite(&size, sizeof size, 1, stdout) == 1 &&
           fwrite(buf.data, buf.size, 1, stdout) == 1 && fflush(stdout) == 0;
    buf_fini(&buf);
    return good;
}

static struct listener *listen_anywhere(struct http_server *server, struct error *ret_error)
{
    struct listen_socket socket;
    if (!listen_socket_open("127.0.0.1:0", LISTEN_MAIN, 0600, &socket, ret_error))
        return NULL;
    return listener_new(loop, &socket, NULL, CONNS, on_connection, server, ret_error);
}

int main(int count, char **arguments)
{
    struct error error;
    struct http_server server;
    uv_signal_t terminate;
    bool conformance = count > 1 && strcmp(arguments[1], "conformance") == 0;
    if (conformance && !read_greeting())
        return complain("cannot read what is asked");
    loop = loop_new(&error);
    if (!loop)
        return complain(error.message);
    http_server_init(&server, on_request, NULL);
    struct listener *listener = listen_anywhere(&server, &error);
    if (!listener)
        return complain(error.message);
    if (conformance ? !write_greeting(listener_port(listener))
                    : printf("port %u\n", listener_port(listener)) < 0 || fflush(stdout) != 0)
        return complain("cannot write the answer");
    uv_signal_init(loop_uv(loop), &terminate);
    uv_signal_start(&terminate, on_terminate, SIGTERM);
    loop_run(loop);
    listener_close(listener);
    uv_close((uv_handle_t *)&terminate, NULL);
    loop_free(loop);
    http_server_fini(&server);
    return 0;
}
