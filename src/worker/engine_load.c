/* Loading engines; see engine_load.h. This runs in workers only: the code of a plug-in never gets
 * into the front. */
#include "worker/engine_load.h"

#include "base/span.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

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

static const struct tensord_engine *open_engine(const char *folder, const char *file,
                                                struct error *ret_error)
{
    char path[PATH_MAX];
    const struct tensord_engine *(*entry)(void);
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) {
        error_set(ret_error, ERROR_INTERNAL, "the path of an engine is too long");
        return NULL;
    }
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

static const struct tensord_engine *find_named(const char *folder, const char *name,
                                               struct error *ret_error)
{
    char file[MAX_NAME + 4];
    if (!name_is_plain(name)) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "the config names an engine that cannot be");
        return NULL;
    }
    snprintf(file, sizeof file, "%s.so", name);
    return open_engine(folder, file, ret_error);
}

static bool is_library(const char *file)
{
    size_t size = strlen(file);
    return size > 3 && strcmp(file + size - 3, ".so") == 0;
}

const struct tensord_engine *engine_find(const char *folder, const struct tensord_source *source,
                                         struct error *ret_error)
{
    if (source->config_engine)
        return find_named(folder, source->config_engine, ret_error);
    DIR *directory = opendir(folder);
    if (!directory) {
        error_set(ret_error, ERROR_INTERNAL, "the folder of engines cannot be read");
        return NULL;
    }
    const struct tensord_engine *best = NULL;
    int best_match = 0;
    struct error why = {ERROR_UNIMPLEMENTED, "no engine knows what this is"};
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
