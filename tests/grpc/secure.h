/* The TLS of the test server. */
#ifndef TENSORD_TESTS_GRPC_SECURE_H
#define TENSORD_TESTS_GRPC_SECURE_H

#include "net/tls_server.h"

enum { SECURE_PATH_BYTES = 32 };

/* Makes a file without a name of the bytes, which lives as long as the process; its path is written
 * to `path`. */
bool secure_file(struct span bytes, char path[SECURE_PATH_BYTES], struct error *ret_error);

/* TLS with these files, whose paths stay valid. NULL with a sentence. */
struct tls_server *secure_new(struct loop *loop, const struct tls_files *files,
                              struct error *ret_error);

#endif
