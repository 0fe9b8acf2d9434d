/* See sessions.h. */
#include "onnx/sessions.h"

#include "onnx/cpus.h"
#include "onnx/options.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    LARGEST_TWICE_BYTES = 64 << 20, /* of memory that a model takes and may take once more */
    OFTEN_MET = 16,                 /* executions that were not alone: this is how it is used */
};

static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The threads of an execution that has its share of the processors; 0: it has them all, or the
 * config says how many. */
static unsigned narrow_threads(const struct tensord_source *source, uint32_t slots)
{
    unsigned all = source->threads ? source->threads : onnx_cpu_count();
    if (slots < 2 || all < 2 || strcmp(source->device, "cpu") != 0 ||
        onnx_parameter(source, "intra_op_thread_count"))
        return 0;
    return all > slots ? all / slots : 1;
}

/* What the narrow session is to be made of later, when the source is not there any more. */
static enum tensord_status keep_options(struct onnx_sessions *sessions,
                                        const struct tensord_source *source, const char *path,
                                        unsigned threads)
{
    const struct ort_api *api = sessions->library.api;
    enum tensord_status status = onnx_options_new(&sessions->library, source, &sessions->options);
    if (status == TENSORD_OK)
        status = onnx_status(&sessions->library,
                             api->SetIntraOpNumThreads(sessions->options, (int)threads));
    sessions->path = strdup(path);
    if (status == TENSORD_OK && !sessions->path)
        status = sessions->library.host->reason(TENSORD_UNAVAILABLE, "out of memory");
    return status;
}

enum tensord_status onnx_sessions_open(struct onnx_sessions *sessions,
                                       const struct onnx_library *library,
                                       const struct ort_env *env,
                                       const struct tensord_source *source, const char *path,
                                       uint32_t slots)
{
    struct ort_session_options *options;
    *sessions = (struct onnx_sessions){.library = *library, .env = env};
    enum tensord_status status = onnx_options_new(library, source, &options);
    if (status != TENSORD_OK)
        return status;
    size_t before = memory_in_use();
    bool known = stat(path, &sessions->file) == 0;
    status = onnx_status(library, library->api->CreateSession(env, path, options, &sessions->wide));
    library->api->ReleaseSessionOptions(options);
    size_t after = memory_in_use();
    unsigned threads = narrow_threads(source, slots);
    if (status == TENSORD_OK && threads && known && after < before + LARGEST_TWICE_BYTES)
        status = keep_options(sessions, source, path, threads);
    return status;
}

/* Another file may lie there by now: then a generation of the model comes that is made of it. */
static bool is_same_file(const struct onnx_sessions *sessions)
{
    const struct stat *then = &sessions->file;
    struct stat now;
    return stat(sessions->path, &now) == 0 && now.st_dev == then->st_dev &&
           now.st_ino == then->st_ino && now.st_size == then->st_size &&
           now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

static void *make_narrow(void *context)
{
    struct onnx_sessions *sessions = context;
    const struct onnx_library *library = &sessions->library;
    struct ort_session *narrow = NULL;
    struct ort_status *failure = NULL;
    if (is_same_file(sessions))
        failure =
            library->api->CreateSession(sessions->env, sessions->path, sessions->options, &narrow);
    if (failure) {
        library->host->log(TENSORD_LOG_WARNING,
                           "the model cannot be loaded once more, to run several executions at "
                           "once better: %s",
                           library->api->GetErrorMessage(failure));
        library->api->ReleaseStatus(failure);
    } else if (narrow && !is_same_file(sessions)) {
        library->api->ReleaseSession(narrow);
    } else if (narrow) {
        atomic_store(&sessions->narrow, narrow);
        library->host->log(TENSORD_LOG_INFO,
                           "executions that run at once have their share of the threads each");
    }
    return NULL;
}

struct ort_session *onnx_sessions_choose(struct onnx_sessions *sessions, uint32_t at_once)
{
    if (at_once < 2 || !sessions->options)
        return sessions->wide;
    struct ort_session *narrow = atomic_load(&sessions->narrow);
    if (narrow)
        return narrow;
    if (atomic_fetch_add(&sessions->met, 1) + 1 == OFTEN_MET)
        sessions->making = pthread_create(&sessions->maker, NULL, make_narrow, sessions) == 0;
    return sessions->wide;
}

void onnx_sessions_close(struct onnx_sessions *sessions)
{
    const struct ort_api *api = sessions->library.api;
    if (sessions->making)
        pthread_join(sessions->maker, NULL);
    struct ort_session *narrow = atomic_load(&sessions->narrow);
    if (narrow)
        api->ReleaseSession(narrow);
    if (sessions->wide)
        api->ReleaseSession(sessions->wide);
    if (sessions->options)
        api->ReleaseSessionOptions(sessions->options);
    free(sessions->path);
}
