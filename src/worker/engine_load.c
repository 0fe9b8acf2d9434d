/* Loading engines; see engine_load.h. This runs in workers only: the code of a plug-in never gets
 * into the front. */
#include "worker/engine_load.h"

#include "base/span.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAME = 64 };

bool engine_check(const struct tensord_engine *engine, struct error *ret_error)
{
    if (engine->abi != TENSORD_ENGINE_ABI || engine->size < sizeof *engine || !engine->name ||
        !engine->match || !engine->load || !engine->execute)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "the engine was built for version %u of the engine interface, not for %u",
                         engine->abi, TENSORD_ENGINE_ABI);
    return true;
}

static bool is_trusted(const struct stat *status)
{
    bool owner = status->st_uid == 0 || status->st_uid == geteuid();
    bool group = status->st_gid == 0 || status->st_gid == getegid();
    return owner && !(status->st_mode & S_IWOTH) && (group || !(status->st_mode & S_IWGRP));
}

bool engine_place_check(const char *path, struct error *ret_error)
{
    struct stat status;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (stat(path, &status) != 0)
        return error_set(ret_error, ERROR_NOT_FOUND, "'%.100s' cannot be looked at: %s", name,
                         strerrordesc_np(errno));
    return is_trusted(&status) ||
           error_set(ret_error, ERROR_PERMISSION_DENIED,
                     "'%.100s' holds engines, which are code, and other users may change it: it "
                     "must belong to root or to the user who runs the server, and be writable by "
                     "no other (chown, chmod go-w)",
                     name);
}

/* The path of an engine that may be loaded. */
static bool engine_path(const char *folder, const char *file, char path[PATH_MAX],
                        struct error *ret_error)
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, file) >= PATH_MAX)
        return error_set(ret_error, ERROR_INTERNAL, "the path of an engine is too long");
    return engine_place_check(folder, ret_error) && engine_place_check(path, ret_error);
}

static const struct tensord_engine *open_engine(const char *folder, const char *file,
                                                struct error *ret_error)
{
    char path[PATH_MAX];
    const struct tensord_engine *(*entry)(void);
    if (!engine_path(folder, file, path, ret_error))
        return NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "tensord_engine") : NULL;
    if (!symbol) {
        const char *reason = dlerror(); /* clients read it: without the folder */
        size_t length = strlen(path);
        if (strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0)
            reason += length + 2;
        error_set(ret_error, ERROR_UNIMPLEMENTED, "engine '%s' cannot be loaded: %s", file, reason);
        return NULL;
    }
    /* ISO C knows no conversion from void * to a function. */
    memcpy(&entry, &symbol, sizeof entry);
    const struct tensord_engine *engine = entry();
    if (!engine)
        error_set(ret_error, ERROR_UNIMPLEMENTED, "engine '%s' gives no engine", file);
    return engine && engine_check(engine, ret_error) ? engine : NULL;
}

/* An engine's name is a file's name: nothing that could be a path. */
static bool name_is_plain(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            return false;
    }
    return size > 0 && size <= MAX_NAME;
}

static bool is_library(const char *file)
{
    size_t size = strlen(file);
    return size > 3 && strcmp(file + size - 3, ".so") == 0;
}

static int is_listed(const struct dirent *entry)
{
    return is_library(entry->d_name);
}

/* "chaos, identity, onnx"; empty when there are none. */
static void list_engines(const char *folder, char *text, size_t size)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_listed, alphasort);
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%.*s", i ? ", " : "",
                                   (int)(strlen(name) - 3), name);
        free(entries[i]);
    }
    free(entries);
}

static const struct tensord_engine *find_named(const char *folder, const char *name,
                                               struct error *ret_error)
{
    char file[MAX_NAME + 4], path[PATH_MAX], engines[256];
    struct stat status;
    bool plain = name_is_plain(name);
    snprintf(file, sizeof file, "%.*s.so", MAX_NAME, name);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (plain && (stat(path, &status) == 0 || errno != ENOENT))
        return open_engine(folder, file, ret_error);
    list_engines(folder, engines, sizeof engines);
    error_set(ret_error, ERROR_INVALID_ARGUMENT, "there is no engine '%.*s'; there are: %s",
              MAX_NAME, name, engines[0] ? engines : "none");
    return NULL;
}

const struct tensord_engine *engine_find(const char *folder, const struct tensord_source *source,
                                         struct error *ret_error)
{
    if (source->config_engine)
        return find_named(folder, source->config_engine, ret_error);
    char engines[256];
    DIR *directory = opendir(folder);
    if (!directory) {
        error_set(ret_error, ERROR_INTERNAL, "the folder of engines cannot be read");
        return NULL;
    }
    const struct tensord_engine *best = NULL;
    int best_match = 0;
    struct error why;
    list_engines(folder, engines, sizeof engines);
    error_set(&why, ERROR_UNIMPLEMENTED, "no engine knows what this is; there are: %s", engines);
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        const struct tensord_engine *engine =
            is_library(entry->d_name) ? open_engine(folder, entry->d_name, &why) : NULL;
        int match = engine ? engine->match(source) : 0;
        if (match > best_match) {
            best = engine;
            best_match = match;
        }
    }
    closedir(directory);
    if (!best && ret_error)
        *ret_error = why;
    return best;
}
