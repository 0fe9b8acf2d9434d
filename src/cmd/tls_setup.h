/* The TLS of the server as the settings want it. */
#ifndef TENSORD_CMD_TLS_SETUP_H
#define TENSORD_CMD_TLS_SETUP_H

#include "net/tls_server.h"
#include "settings/settings.h"
#include "worker/sandbox.h"

#include <limits.h>

/* Whether the settings name a certificate. */
bool tls_is_wanted(const struct settings *settings);

/* What can be said without reading a file: a key without a certificate is a mistake. */
bool tls_settings_check(const struct settings *settings, struct error *ret_error);

/* Loads the library and the files, and says in the log what they are; from then on a reload, too.
 * The settings stay in place. Opens files that the sandbox closes off. NULL with a sentence. */
struct tls_server *tls_setup(struct loop *loop, const struct settings *settings,
                             struct error *ret_error);

enum { TLS_PATHS = 9 };

/* What reading the files again takes: the folders where they are looked for, the folders that links
 * lead to (certificates that are renewed are often links), and the files, which tell whether
 * reading them takes a privilege. */
struct tls_paths {
    struct sandbox_path rows[TLS_PATHS]; /* those of files that are not given are NULL */
    char folders[6][PATH_MAX];
};

void tls_paths(const struct settings *settings, struct tls_paths *ret_paths);

#endif
