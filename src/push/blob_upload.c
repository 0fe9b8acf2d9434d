/* Receiving a blob; see blobs.h.
 *
 * Two buffers take turns: the socket is read into one while the other is hashed and written on a
 * thread. When both are full there is no room, and the socket is not read. Each step on the thread
 * does what there is to do, in order: open, write, finish. */
#include "push/blobs_private.h"

#include "base/clock.h"
#include "telemetry/metrics.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 256 << 10,
    IDLE_MS = 10000,     /* for which an unfinished blob stays open for its next request */
    IDLE_PER_UPLOAD = 2, /* that may be open so, for each upload that there may be */
};

struct buffer {
    char *data; /* BUFFER_BYTES */
    size_t size;
};

struct blob_upload {
    struct loop_work work;
    struct blobs *blobs;
    struct blob_partial *partial; /* busy with it */
    const struct blob_upload_events *events;
    void *context;
    uint64_t offset, size_bytes; /* as asked for */
    uint64_t expected;           /* bytes that may still come */
    struct buffer fill;          /* the loop's */
    bool working;
    bool ended; /* no more bytes come */
    bool waits; /* room was asked for and there was none */
    bool left;  /* nobody wants to know any more; read by the thread */
    /* The thread's, while it works: */
    struct buffer out;
    bool opened, last;
    struct blob_result result;
    uint64_t written; /* bytes, in this step */
    int made;         /* files: 1, 0, or -1 when it was dropped */
    uint64_t dropped; /* bytes */
};

/* ---- partials ---- */

static struct blob_partial *find(const struct blobs *blobs, const struct digest *digest)
{
    list_each(link, &blobs->partials)
    {
        struct blob_partial *partial = list_entry(link, struct blob_partial, link);
        if (digest_equal(&partial->digest, digest))
            return partial;
    }
    return NULL;
}

static void partial_free(struct blob_partial *partial)
{
    timer_stop(&partial->timer);
    list_remove(&partial->link);
    partial->blobs->partial_count--;
    if (partial->fd >= 0)
        close(partial->fd); /* and with it the lock */
    free(partial);
}

static void on_idle(struct timer *timer)
{
    partial_free(list_entry(timer, struct blob_partial, timer));
}

/* The oldest that nobody is busy with makes room. */
static void bound_partials(struct blobs *blobs)
{
    list_each(link, &blobs->partials)
    {
        struct blob_partial *partial = list_entry(link, struct blob_partial, link);
        if (blobs->partial_count <= (size_t)blobs->limits.uploads * IDLE_PER_UPLOAD)
            return;
        if (!partial->busy)
            partial_free(partial);
    }
}

static struct blob_partial *take_partial(struct blobs *blobs, const struct digest *digest)
{
    struct blob_partial *partial = find(blobs, digest);
    if (!partial && (partial = calloc(1, sizeof *partial))) {
        *partial = (struct blob_partial){.blobs = blobs, .digest = *digest, .fd = -1};
        sha256_init(&partial->hash);
        list_add(&blobs->partials, &partial->link);
        blobs->partial_count++;
        bound_partials(blobs);
    }
    if (partial) {
        partial->busy = true;
        timer_stop(&partial->timer);
    }
    return partial;
}

static void give_back(struct blob_partial *partial)
{
    partial->busy = false;
    if (partial->fd < 0)
        partial_free(partial);
    else
        timer_start(&partial->timer, partial->blobs->loop, IDLE_MS, on_idle);
}

/* ---- on the thread ---- */

static bool fail(struct blob_upload *upload, enum error_code code, const char *sentence)
{
    return error_set(&upload->result.error, code, "%s", sentence);
}

static bool cannot(struct blob_upload *upload)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return fail(upload, ERROR_NO_SPACE, "the server's disk is full");
    return error_set(&upload->result.error, ERROR_INTERNAL, "the file cannot be kept: %s",
                     strerrordesc_np(errno));
}

/* What was received is worth nothing. */
static void drop(struct blob_upload *upload)
{
    char name[PART_NAME_BYTES];
    struct blob_partial *partial = upload->partial;
    unlinkat(upload->blobs->folder, blob_part_name(&partial->digest, name), 0);
    close(partial->fd);
    partial->fd = -1;
    upload->dropped = partial->size;
    upload->made--;
    partial->size = 0;
}

/* Reads what an earlier server, or an earlier while, has received. */
static bool hash_again(struct blob_upload *upload, uint64_t size)
{
    struct blob_partial *partial = upload->partial;
    while (partial->size < size) {
        if (__atomic_load_n(&upload->left, __ATOMIC_RELAXED))
            return fail(upload, ERROR_CANCELLED, "the client has gone");
        uint64_t rest = size - partial->size;
        ssize_t got = pread(partial->fd, upload->out.data,
                            rest < BUFFER_BYTES ? rest : BUFFER_BYTES, (off_t)partial->size);
        if (got <= 0)
            return cannot(upload);
        sha256_update(&partial->hash, (size_t)got, (const uint8_t *)upload->out.data);
        partial->size += (uint64_t)got;
    }
    return true;
}

/* Locks it against other servers that share the folder. */
static bool lock(struct blob_upload *upload, struct stat *ret_status)
{
    int fd = upload->partial->fd;
    if (fstat(fd, ret_status) != 0)
        return cannot(upload);
    upload->result.have_bytes = (uint64_t)ret_status->st_size;
    return (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, ret_status) == 0 &&
            ret_status->st_nlink > 0) ||
           fail(upload, ERROR_CONFLICT, "it is being uploaded by somebody else");
}

static bool open_file(struct blob_upload *upload, struct stat *ret_status)
{
    char name[PART_NAME_BYTES];
    int folder = upload->blobs->folder;
    blob_part_name(&upload->partial->digest, name);
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    upload->partial->fd = openat(folder, name, flags);
    if (upload->partial->fd < 0 && errno == ENOENT) {
        upload->partial->fd = openat(folder, name, flags | O_CREAT | O_EXCL, 0600);
        upload->made = upload->partial->fd >= 0;
    }
    return upload->partial->fd >= 0 ? lock(upload, ret_status) : cannot(upload);
}

static bool check_offset(struct blob_upload *upload, uint64_t have)
{
    upload->result.have_bytes = have;
    if (have > upload->size_bytes) {
        drop(upload);
        return fail(upload, ERROR_UNPROCESSABLE, "more of it is there than it is large");
    }
    return upload->offset == have ||
           fail(upload, ERROR_CONFLICT, "that is not how much of it is there");
}

static void close_file(struct blob_upload *upload)
{
    if (upload->partial->fd >= 0)
        close(upload->partial->fd);
    upload->partial->fd = -1;
}

/* Somebody may have removed the file, to make room. */
static void forget_removed(struct blob_upload *upload)
{
    struct stat status;
    struct blob_partial *partial = upload->partial;
    if (partial->fd < 0 || (fstat(partial->fd, &status) == 0 && status.st_nlink > 0))
        return;
    close_file(upload);
    sha256_init(&partial->hash);
    partial->size = 0;
}

/* Opens the file and looks whether the bytes that come fit behind those that are there. True, with
 * result.complete, when all are. */
static bool open_partial(struct blob_upload *upload)
{
    struct stat status;
    struct blob_partial *partial = upload->partial;
    if (fstatat(upload->blobs->folder, partial->digest.text, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        upload->result.complete = (uint64_t)status.st_size == upload->size_bytes;
        upload->result.have_bytes = (uint64_t)status.st_size;
        return upload->result.complete ||
               fail(upload, ERROR_UNPROCESSABLE, "a file of this sha256 has another size");
    }
    forget_removed(upload);
    if (partial->fd >= 0)
        return check_offset(upload, partial->size);
    if (open_file(upload, &status) && check_offset(upload, (uint64_t)status.st_size) &&
        hash_again(upload, (uint64_t)status.st_size))
        return true;
    close_file(upload);
    return false;
}

static bool write_out(struct blob_upload *upload)
{
    struct blob_partial *partial = upload->partial;
    size_t done = 0;
    while (done < upload->out.size) {
        const char *from = upload->out.data + done;
        ssize_t size = pwrite(partial->fd, from, upload->out.size - done, (off_t)partial->size);
        if (size < 0 && errno != EINTR)
            return cannot(upload);
        if (size <= 0)
            continue;
        sha256_update(&partial->hash, (size_t)size, (const uint8_t *)from);
        done += (size_t)size;
        partial->size += (uint64_t)size;
        upload->written += (uint64_t)size;
    }
    return true;
}

/* Its own time, as fine as the clock goes: models are known by the times of their files. */
static bool seal(int fd)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return fchmod(fd, BLOB_MODE) == 0 && futimens(fd, (struct timespec[]){now, now}) == 0 &&
           fsync(fd) == 0;
}

static bool finish(struct blob_upload *upload)
{
    char name[PART_NAME_BYTES];
    struct blob_partial *partial = upload->partial;
    struct digest found = digest_finish(&partial->hash);
    if (!digest_equal(&found, &partial->digest)) {
        drop(upload);
        return fail(upload, ERROR_UNPROCESSABLE,
                    "what was uploaded has another sha256; it is dropped");
    }
    /* The folder need not be on the disk: without its new name the file is there in part. */
    int folder = upload->blobs->folder;
    if (!seal(partial->fd) || renameat(folder, blob_part_name(&partial->digest, name), folder,
                                       partial->digest.text) != 0) {
        cannot(upload);
        drop(upload); /* its hash is spent */
        return false;
    }
    close_file(upload);
    return upload->result.complete = true;
}

static void step_thread(struct loop_work *work)
{
    struct blob_upload *upload = list_entry(work, struct blob_upload, work);
    if (!upload->opened && (!open_partial(upload) || upload->result.complete))
        return;
    upload->opened = true;
    if (write_out(upload) && upload->last && upload->partial->size == upload->size_bytes)
        finish(upload);
    upload->result.have_bytes = upload->partial->size;
}

/* ---- on the loop ---- */

static void upload_free(struct blob_upload *upload)
{
    struct blobs *blobs = upload->blobs;
    blobs->uploads--;
    give_back(upload->partial);
    free(upload->fill.data);
    free(upload->out.data);
    free(upload);
}

static void count_step(struct blob_upload *upload)
{
    struct blobs *blobs = upload->blobs;
    uint64_t bytes = blobs->bytes + upload->written;
    blobs->bytes = bytes > upload->dropped ? bytes - upload->dropped : 0;
    if (upload->made >= 0 || blobs->count)
        blobs->count += (uint64_t)(int64_t)upload->made;
    upload->partial->known_bytes = upload->partial->size;
    blobs->reserved_bytes -= upload->written;
    metrics.blob_bytes = blobs->bytes;
    metrics.blobs = blobs->count;
    metrics.blob_received_bytes += upload->written;
    upload->offset += upload->written;
    upload->written = upload->dropped = 0;
    upload->made = 0;
}

static void step_done(struct loop_work *work);

static void step(struct blob_upload *upload)
{
    struct buffer out = upload->fill;
    upload->fill = upload->out;
    upload->fill.size = 0;
    upload->out = out;
    upload->last = upload->ended;
    upload->working = true;
    struct loop *loop = upload->blobs->loop;
    if (!loop_work_start(loop, &upload->work, step_thread, step_done, &upload->result.error))
        loop_work_skip(loop, &upload->work, step_done);
}

/* The last word, and the end. */
static void end(struct blob_upload *upload)
{
    struct blob_result result = upload->result;
    bool left = upload->left;
    const struct blob_upload_events *events = upload->events;
    void *context = upload->context;
    upload->blobs->reserved_bytes -= upload->size_bytes - upload->offset;
    upload_free(upload);
    if (!left)
        events->done(context, &result);
}

static void step_done(struct loop_work *work)
{
    struct blob_upload *upload = list_entry(work, struct blob_upload, work);
    upload->working = false;
    count_step(upload);
    bool over = upload->result.error.code != ERROR_OK || upload->result.complete || upload->last;
    if (over || (upload->left && !upload->fill.size)) {
        end(upload);
        return;
    }
    if (upload->ended || upload->left || upload->fill.size == BUFFER_BYTES)
        step(upload);
    if (upload->waits && !upload->left) {
        upload->waits = false;
        upload->events->room(upload->context);
    }
}

static bool admit(struct blobs *blobs, uint64_t bytes, struct blob_result *ret_refusal)
{
    uint64_t all = blobs->bytes + blobs->reserved_bytes;
    struct error *error = &ret_refusal->error;
    if (blobs->folder < 0)
        return error_set(error, ERROR_UNAVAILABLE,
                         "the server has no folder to keep uploads in; see its log");
    if (blobs->uploads >= blobs->limits.uploads) {
        limit_hit(LIMIT_max_uploads);
        return error_set(error, ERROR_UNAVAILABLE, "as many uploads as there may be are running");
    }
    if (all >= blobs->limits.bytes || bytes > blobs->limits.bytes - all) {
        limit_hit(LIMIT_max_blobs_mib);
        return error_set(
            error, ERROR_NO_SPACE,
            "the server keeps no more uploads: it has as many bytes of them as it may");
    }
    if (blobs->count >= blobs->limits.count) {
        limit_hit(LIMIT_max_blobs);
        return error_set(error, ERROR_NO_SPACE,
                         "the server keeps no more uploads: it has as many of them as it may");
    }
    return true;
}

struct blob_upload *blob_upload_new(struct blobs *blobs, const struct digest *digest,
                                    uint64_t offset, uint64_t size_bytes,
                                    const struct blob_upload_events *events, void *context,
                                    struct blob_result *ret_refusal)
{
    assert(offset <= size_bytes);
    *ret_refusal = (struct blob_result){.have_bytes = 0};
    if (!admit(blobs, size_bytes - offset, ret_refusal)) {
        blobs_sweep(blobs); /* perhaps some are old by now */
        return NULL;
    }
    struct blob_partial *partial = find(blobs, digest);
    if (partial && partial->busy) {
        ret_refusal->have_bytes = partial->known_bytes;
        error_set(&ret_refusal->error, ERROR_CONFLICT, "it is being uploaded by somebody else");
        return NULL;
    }
    struct blob_upload *upload = calloc(1, sizeof *upload);
    char *first = malloc(BUFFER_BYTES), *second = malloc(BUFFER_BYTES);
    partial = upload && first && second ? take_partial(blobs, digest) : NULL;
    if (!partial) {
        free(upload);
        free(first);
        free(second);
        error_no_memory(&ret_refusal->error);
        return NULL;
    }
    *upload = (struct blob_upload){
        .blobs = blobs,
        .partial = partial,
        .events = events,
        .context = context,
        .offset = offset,
        .size_bytes = size_bytes,
        .expected = size_bytes - offset,
        .fill.data = first,
        .out.data = second,
    };
    blobs->uploads++;
    blobs->reserved_bytes += size_bytes - offset;
    step(upload);
    return upload;
}

struct room blob_upload_room(struct blob_upload *upload)
{
    size_t room = BUFFER_BYTES - upload->fill.size;
    upload->waits = room == 0;
    return (struct room){upload->fill.data + upload->fill.size,
                         room < upload->expected ? room : (size_t)upload->expected};
}

bool blob_upload_is_full(const struct blob_upload *upload)
{
    return upload->expected == 0;
}

void blob_upload_received(struct blob_upload *upload, size_t count)
{
    upload->expected -= count;
    upload->fill.size += count;
    if (upload->fill.size == BUFFER_BYTES && !upload->working)
        step(upload);
}

void blob_upload_end(struct blob_upload *upload)
{
    upload->ended = true;
    if (!upload->working)
        step(upload);
}

void blob_upload_leave(struct blob_upload *upload)
{
    __atomic_store_n(&upload->left, true, __ATOMIC_RELAXED);
    if (upload->working)
        return;
    if (upload->fill.size)
        step(upload);
    else
        end(upload);
}
