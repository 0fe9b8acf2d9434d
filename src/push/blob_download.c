/* Reading a blob, a buffer at a time, on a thread; see blobs.h. */
#include "push/blobs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10 };

struct blob_download {
    struct loop_work work;
    struct blobs *blobs;
    const struct blob_download_events *events;
    void *context;
    struct digest digest;
    int fd;
    bool working, freed;
    uint64_t size_bytes, at; /* of the blob; where to read next */
    ssize_t got;             /* by the last read; negative: it has failed */
    char data[BUFFER_BYTES];
};

static void open_thread(struct loop_work *work)
{
    struct blob_download *download = list_entry(work, struct blob_download, work);
    struct stat status;
    download->fd = openat(download->blobs->folder, download->digest.text,
                          O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (download->fd < 0 || fstat(download->fd, &status) != 0)
        return;
    download->size_bytes = (uint64_t)status.st_size;
}

static void read_thread(struct loop_work *work)
{
    struct blob_download *download = list_entry(work, struct blob_download, work);
    do
        download->got = pread(download->fd, download->data, BUFFER_BYTES, (off_t)download->at);
    while (download->got < 0 && errno == EINTR);
}

static void destroy(struct blob_download *download)
{
    if (download->fd >= 0)
        close(download->fd);
    free(download);
}

/* False when nobody wants it any more; then it is gone. */
static bool is_wanted(struct blob_download *download)
{
    bool wanted = !download->freed;
    download->working = false;
    if (!wanted)
        destroy(download);
    return wanted;
}

static void open_done(struct loop_work *work)
{
    struct blob_download *download = list_entry(work, struct blob_download, work);
    struct error error = {.code = ERROR_OK};
    if (!is_wanted(download))
        return;
    if (download->fd < 0)
        error_set(&error, ERROR_NOT_FOUND, "there is no blob of this sha256");
    download->events->opened(download->context, download->size_bytes, &error);
}

static void read_done(struct loop_work *work)
{
    struct blob_download *download = list_entry(work, struct blob_download, work);
    if (!is_wanted(download))
        return;
    struct span bytes = {download->data, download->got > 0 ? (size_t)download->got : 0};
    /* One that has become shorter is as bad as one that cannot be read. */
    if (download->got < 0 || (download->got == 0 && download->at < download->size_bytes))
        bytes = (struct span){NULL, 0};
    download->at += bytes.size;
    download->events->bytes(download->context, bytes);
}

static bool begin(struct blob_download *download, void (*on_thread)(struct loop_work *work),
                  void (*done)(struct loop_work *work))
{
    struct loop *loop = download->blobs->loop;
    return download->working = loop_work_start(loop, &download->work, on_thread, done, NULL);
}

struct blob_download *blob_download_new(struct blobs *blobs, const struct digest *digest,
                                        const struct blob_download_events *events, void *context,
                                        struct error *ret_error)
{
    struct blob_download *download = malloc(sizeof *download);
    if (!download) {
        error_no_memory(ret_error);
        return NULL;
    }
    download->blobs = blobs;
    download->events = events;
    download->context = context;
    download->digest = *digest;
    download->fd = -1;
    download->freed = false;
    download->size_bytes = download->at = 0;
    begin(download, open_thread, open_done);
    return download;
}

void blob_download_next(struct blob_download *download)
{
    begin(download, read_thread, read_done);
}

void blob_download_free(struct blob_download *download)
{
    if (!download)
        return;
    download->freed = true;
    if (!download->working)
        destroy(download);
}
