/* TLS from the settings; see tls_setup.h. */
#include "cmd/tls_setup.h"

#include "protocol/http.h"
#include "telemetry/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct tls_server *served; /* by this process */

static enum tls_client_auth client_auth(const struct settings *settings)
{
    const char *wanted = settings->tls_client_auth;
    if (strcmp(wanted, "none") == 0)
        return TLS_CLIENT_NONE;
    return strcmp(wanted, "request") == 0 ? TLS_CLIENT_REQUEST : TLS_CLIENT_REQUIRE;
}

static struct tls_files files_of(const struct settings *settings)
{
    return (struct tls_files){
        .certificate = settings->tls_cert,
        .key = settings->tls_key[0] ? settings->tls_key : settings->tls_cert,
        .client_ca = settings->tls_client_ca[0] ? settings->tls_client_ca : NULL,
        .client_auth = client_auth(settings),
    };
}

bool tls_is_wanted(const struct settings *settings)
{
    return settings->tls_cert[0] != '\0';
}

bool tls_settings_check(const struct settings *settings, struct error *ret_error)
{
    bool asks = settings->sources[SETTING_tls_client_auth] != SETTING_DEFAULT &&
                strcmp(settings->tls_client_auth, "none") != 0;
    if (!tls_is_wanted(settings) && settings->tls_key[0])
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "--tls-key is the key of a certificate: name that with --tls-cert");
    if (!tls_is_wanted(settings) && settings->tls_client_ca[0])
        return error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "--tls-client-ca takes TLS: name the server's certificate with --tls-cert");
    if (asks && !settings->tls_client_ca[0])
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "--tls-client-auth %s: name with --tls-client-ca who signs the clients' "
                         "certificates",
                         settings->tls_client_auth);
    return true;
}

/* The library beside the program: in the build tree <program's folder>/../tls, installed
 * ../lib/tensord. */
static bool find_library(char path[PATH_MAX], struct error *ret_error)
{
    static const char *const places[] = {"/../tls/tensord-tls.so",
                                         "/../lib/tensord/tensord-tls.so"};
    char program[PATH_MAX] = "", candidate[PATH_MAX + 64];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = size > 0 ? strrchr(program, '/') : NULL;
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        snprintf(candidate, sizeof candidate, "%s%s", program, places[i]);
        if (realpath(candidate, path))
            return true;
    }
    return error_set(ret_error, ERROR_NOT_FOUND,
                     "tensord-tls.so is missing, which belongs into lib/tensord beside the "
                     "program's folder");
}

static void say(const char *what)
{
    log_info("tls", "%s: %s", what, tls_server_describe(served));
    if (tls_server_warning(served)[0])
        log_warning("tls", "%s", tls_server_warning(served));
}

static void on_reloaded(void *context, const struct error *error)
{
    if (error)
        log_error("tls", "the certificate stays as it was: %s", error->message);
    else
        say("new connections get the certificate as its file is now");
}

struct tls_server *tls_setup(struct loop *loop, const struct settings *settings,
                             struct error *ret_error)
{
    char path[PATH_MAX];
    const struct tls_library *library =
        find_library(path, ret_error) ? tls_library_load(path, ret_error) : NULL;
    if (!library)
        return NULL;
    const struct tls_server_options options = {
        .library = library,
        .files = files_of(settings),
        .look_ms = (uint64_t)settings->rescan_ms,
        .plain_answer = http_answer_without_tls,
        .reloaded = on_reloaded,
    };
    served = tls_server_new(loop, &options, ret_error);
    if (served)
        say("serving with the certificate");
    return served;
}

/* The path without its last name, or the folder of the file that it leads to. */
static const char *folder_of(const char *path, bool real, char folder[PATH_MAX])
{
    if (real ? !realpath(path, folder) : snprintf(folder, PATH_MAX, "%s", path) >= PATH_MAX)
        return NULL;
    char *slash = strrchr(folder, '/');
    if (!slash)
        return ".";
    slash[slash == folder ? 1 : 0] = '\0';
    return folder;
}

void tls_paths(const struct settings *settings, struct tls_paths *ret_paths)
{
    const char *const files[] = {settings->tls_cert, settings->tls_key, settings->tls_client_ca};
    memset(ret_paths->rows, 0, sizeof ret_paths->rows);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct sandbox_path *rows = &ret_paths->rows[3 * i];
        if (!files[i][0])
            continue;
        rows[0] = (struct sandbox_path){files[i], SANDBOX_READ};
        for (size_t j = 0; j < 2; j++)
            rows[1 + j] = (struct sandbox_path){
                folder_of(files[i], j == 1, ret_paths->folders[2 * i + j]), SANDBOX_READ};
    }
}
