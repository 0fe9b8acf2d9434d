/* A whole connection from its first byte: HTTP/1.1, or what the first bytes say. */
#include "http_application.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    http_application_run(http_serve, SPAN(""), (struct span){(const char *)data, size});
    return 0;
}
