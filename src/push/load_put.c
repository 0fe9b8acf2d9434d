/* Files of a load on their way to their folder: written on a thread, installed by a process; see
 * loads.h. */
#include "push/loads.h"

#include "base/base64.h"
#include "push/staging.h"
#include "repository/model_config.h"
#include "telemetry/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 16384, BYTES_OF_PIECE = PIECE_BYTES / 4 * 3, FILE_MODE = 0444 };

static const char config_name[] = "model.yaml"; /* in which JSON is read as well */

/* How much of a path a sentence shows. */
static int shown_bytes(struct span path)
{
    return path.size < 200 ? (int)path.size : 200;
}

/* ---- on a thread: the files under the names of their digests ---- */

/* A file that is being written. */
struct writing {
    int fd;
    struct sha256_ctx hash;
    uint64_t size;
};

static bool write_bytes(struct writing *writing, struct span bytes)
{
    sha256_update(&writing->hash, bytes.size, (const uint8_t *)bytes.data);
    writing->size += bytes.size;
    while (bytes.size) {
        ssize_t written = write(writing->fd, bytes.data, bytes.size);
        if (written < 0 && errno != EINTR)
            return false;
        bytes = span_after(bytes, written > 0 ? (size_t)written : 0);
    }
    return true;
}

/* Piece by piece, so that no second copy of it is needed. */
static bool write_base64(struct writing *writing, struct span path, struct span text,
                         struct error *ret_error)
{
    char bytes[BYTES_OF_PIECE];
    while (text.size) {
        struct span piece = {text.data, text.size < PIECE_BYTES ? text.size : PIECE_BYTES};
        struct span decoded = {bytes, 0};
        text = span_after(text, piece.size);
        if (!base64_decode(piece, bytes, &decoded.size) ||
            (text.size && decoded.size != BYTES_OF_PIECE))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the parameter 'file:%.*s' is not base64 of the file's bytes",
                             shown_bytes(path), path.data);
        if (!write_bytes(writing, decoded))
            return staging_failed("the files of the load cannot be written", ret_error);
    }
    return true;
}

static bool write_content(struct writing *writing, const struct load_file *file,
                          struct error *ret_error)
{
    if (file->base64)
        return write_base64(writing, file->path, file->content, ret_error);
    return write_bytes(writing, file->content) ||
           staging_failed("the files of the load cannot be written", ret_error);
}

/* Writes a file of the folder of blobs, and what a manifest says of it. */
static bool write_file(int blobs, const struct load_file *file, struct manifest_file *ret_entry,
                       struct error *ret_error)
{
    struct writing writing = {
        .fd = openat(blobs, "part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (writing.fd < 0)
        return staging_failed("the files of the load cannot be written", ret_error);
    sha256_init(&writing.hash);
    bool good = write_content(&writing, file, ret_error);
    *ret_entry = (struct manifest_file){file->path, digest_finish(&writing.hash), writing.size};
    if (good && (fchmod(writing.fd, FILE_MODE) != 0 ||
                 renameat(blobs, "part", blobs, ret_entry->digest.text) != 0))
        good = staging_failed("the files of the load cannot be written", ret_error);
    close(writing.fd);
    return good;
}

static bool is_config(struct span name)
{
    for (size_t i = 0; model_config_names[i]; i++) {
        if (span_equal(name, span_of(model_config_names[i])))
            return true;
    }
    return false;
}

/* The config of a load is its parameter: what lies beside the files would be another one. */
static bool check_no_config(const struct load_file *file, struct error *ret_error)
{
    uint64_t version;
    struct span rest = file->path, first = span_split(&rest, '/');
    if (!is_config(file->path) && !(version_number_of(first, &version) && is_config(rest)))
        return true;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'file:%.*s' is a config: leave it out, the parameter 'config' says what "
                     "counts",
                     shown_bytes(file->path), file->path.data);
}

/* Paths are checked before anything is written. */
static bool check_paths(struct load_put *put, struct error *ret_error)
{
    struct manifest manifest = {.count = put->count};
    manifest.files = arena_calloc(&put->arena, put->count, sizeof *manifest.files);
    if (!manifest.files)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < put->count; i++) {
        manifest.files[i].path = put->files[i].path;
        if (!check_no_config(&put->files[i], ret_error))
            return false;
    }
    if (manifest_check(&manifest, ret_error))
        return true;
    struct error cause = *ret_error;
    return error_set(ret_error, cause.code, "the files of the load, 'file:VERSION/NAME': %.400s",
                     cause.message);
}

static bool write_files(struct load_put *put, int blobs, struct error *ret_error)
{
    struct manifest *manifest = &put->job.question.manifest;
    const struct load_file config = {.path = span_of(config_name), .content = put->config};
    manifest->files = arena_calloc(&put->arena, put->count + 1, sizeof *manifest->files);
    if (!manifest->files)
        return error_no_memory(ret_error);
    for (size_t i = 0; i <= put->count; i++) {
        const struct load_file *file = i < put->count ? &put->files[i] : &config;
        if (!write_file(blobs, file, &manifest->files[manifest->count++], ret_error))
            return false;
    }
    return true;
}

static void write_thread(struct loop_work *work)
{
    struct load_put *put = list_entry(work, struct load_put, work);
    const struct load_folder *folder = put->folder;
    if (!check_paths(put, &put->error))
        return;
    bool made = mkdir(folder->path, 0700) == 0 && mkdir(folder->blobs, 0700) == 0 &&
                mkdir(folder->models, 0700) == 0;
    int blobs = made ? open(folder->blobs, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (blobs < 0) {
        staging_failed("the files of the load cannot be written", &put->error);
        return;
    }
    write_files(put, blobs, &put->error);
    close(blobs);
}

/* ---- then by an installer ---- */

static void end(struct load_put *put)
{
    if (put->error.code != ERROR_OK) {
        load_folder_unref(put->folder);
        put->folder = NULL;
    }
    struct arena arena = put->arena; /* `done` may free the rest */
    put->done(put);
    arena_fini(&arena);
}

/* Nobody knows the config by the name under which it was written. */
static void explain(struct error *error)
{
    struct error cause = *error;
    struct span message = span_of(cause.message), name = span_of(config_name);
    if (span_starts_with(message, name))
        error_set(error, cause.code, "the config of the load%s", cause.message + name.size);
}

static void installed(struct install_job *job)
{
    struct load_put *put = list_entry(job, struct load_put, job);
    put->error = job->answer.error;
    explain(&put->error);
    end(put);
}

static void written(struct loop_work *work)
{
    struct load_put *put = list_entry(work, struct load_put, work);
    struct install_question *question = &put->job.question;
    question->kind = INSTALL_LOAD;
    question->name = put->name;
    question->may_bring_code = put->may_bring_code;
    put->place =
        (struct install_place){put->folder->loads->task, put->folder->models, put->folder->blobs};
    put->job.place = &put->place;
    put->job.done = installed;
    if (put->error.code != ERROR_OK ||
        !installer_ask(put->folder->loads->installer, &put->job, &put->error))
        end(put);
}

/* ---- the beginning ---- */

static bool check_room(const struct loads *loads, const struct load_put *put, uint64_t bytes,
                       struct error *ret_error)
{
    const struct blobs *blobs = loads->blobs;
    if (loads->fd < 0)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the server has no folder for the files of loads; see its log");
    if (put->count > put->max_count) {
        limit_hit(LIMIT_max_push_files);
        return error_set(ret_error, ERROR_TOO_LARGE, "a load brings at most %zu files",
                         put->max_count);
    }
    uint64_t all = blobs->bytes + blobs->reserved_bytes;
    if (all < blobs->limits.bytes && bytes <= blobs->limits.bytes - all)
        return true;
    limit_hit(LIMIT_max_blobs_mib);
    return error_set(ret_error, ERROR_NO_SPACE,
                     "the server keeps no more files of loads and uploads: it has as many bytes of "
                     "them as it may");
}

static struct load_folder *folder_new(struct loads *loads, uint64_t bytes)
{
    struct load_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return NULL;
    folder->loads = loads;
    folder->references = 1;
    folder->bytes = bytes;
    snprintf(folder->path, sizeof folder->path, "%.*s/%llu", PATH_MAX - 32, loads->path,
             (unsigned long long)++loads->last);
    snprintf(folder->blobs, sizeof folder->blobs, "%s/blobs", folder->path);
    snprintf(folder->models, sizeof folder->models, "%s/models", folder->path);
    return folder;
}

bool load_put_begin(struct loads *loads, struct load_put *put, struct error *ret_error)
{
    uint64_t bytes = put->config.size;
    for (size_t i = 0; i < put->count; i++) {
        size_t size = put->files[i].content.size;
        bytes += put->files[i].base64 ? base64_most_bytes(size) : size;
    }
    if (!model_name_check(put->name, ret_error) || !check_room(loads, put, bytes, ret_error))
        return false;
    put->folder = folder_new(loads, bytes);
    if (!put->folder)
        return error_no_memory(ret_error);
    put->error.code = ERROR_OK;
    arena_init(&put->arena, 1024, (size_t)put->max_count * sizeof(struct manifest_file) * 4);
    if (!loop_work_start(loads->loop, &put->work, write_thread, written, ret_error)) {
        free(put->folder);
        arena_fini(&put->arena);
        return false;
    }
    list_add(&loads->folders, &put->folder->link);
    loads->blobs->reserved_bytes += bytes;
    return true;
}
