/* A whole HTTP/2 connection: any bytes behind the preface. */
#include "http_application.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static void serve(struct http_server *server, struct conn *conn)
{
    http2_serve(server, conn, (struct span){NULL, 0});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_application_run(serve, (struct span){preface, sizeof preface - 1},
                         (struct span){(const char *)data, size});
    return 0;
}
