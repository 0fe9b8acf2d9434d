/* Blobs: files known by their content, which clients upload before they push a model that consists
 * of them. They lie in one folder of the state, a file each, named by its digest; what has not come
 * whole yet is called DIGEST.part.
 *
 * The folder is the front's, and no request waits for the disk: all that touches it is done on
 * libuv's threads. A blob that a model consists of is a hard link of the model's file; one that has
 * no other link, and is old, is collected. Several servers may share the folder.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_PUSH_BLOBS_H
#define TENSORD_PUSH_BLOBS_H

#include "net/loop_work.h"
#include "push/digest.h"

struct blobs_limits {
    uint64_t bytes;   /* of all blobs, those that come included */
    uint64_t count;   /* of them */
    uint64_t keep_s;  /* for which one is kept that no model consists of */
    unsigned uploads; /* at once */
};

struct blobs {
    struct loop *loop;
    int folder; /* -1: there is none, and nothing can be uploaded */
    struct blobs_limits limits;
    uint64_t bytes, count;   /* that lie there, as far as is known */
    uint64_t reserved_bytes; /* of the uploads that run */
    unsigned uploads;
    struct list partials; /* of struct blob_partial: those that were being received lately */
    size_t partial_count;
    struct timer sweep_timer;
    struct blob_sweep *sweep; /* that runs, or NULL */
    bool sweep_again;
};

/* Starts without a folder: whatever is asked for is refused. */
void blobs_init(struct blobs *blobs, struct loop *loop, const struct blobs_limits *limits);

/* Opens the folder, made when it is not there. Before the sandbox closes in, which must let the
 * folder be read and written. False with a sentence. */
bool blobs_open(struct blobs *blobs, struct loop *loop, const char *path,
                const struct blobs_limits *limits, struct error *ret_error);

/* Counts what lies there anew and collects what is old, soon; also by the clock. */
void blobs_sweep(struct blobs *blobs);

/* ---- asking which are there (blob_query.c) ---- */

struct blob_asked {
    struct digest digest;
    uint64_t size_bytes; /* as the client says */
    uint64_t have_bytes; /* found: of one that has not come whole */
    bool missing;        /* found */
};

struct blob_query {
    struct loop_work work;
    struct blobs *blobs;
    struct blob_asked *asked; /* the caller's, until `done` */
    size_t count;
    void (*done)(struct blob_query *query);
};

/* Finds out which of the blobs asked for are missing, and keeps the others from being collected for
 * a while. `done` is called in a later turn; the struct and what it points to stay until then. */
bool blob_query_begin(struct blob_query *query, struct error *ret_error);

/* ---- uploading (blob_upload.c) ---- */

struct blob_partial;
struct blob_upload;

/* How an upload has ended. */
struct blob_result {
    struct error error; /* ERROR_OK: all bytes of it are on the disk; CONFLICT: there are have_bytes
                           already; UNPROCESSABLE: it is not what its digest says */
    uint64_t have_bytes; /* that are there now */
    bool complete;       /* it is a blob */
};

struct blob_upload_events {
    void (*room)(void *context);                                   /* there is room again */
    void (*done)(void *context, const struct blob_result *result); /* the last call */
};

/* Starts to receive the blob's bytes from `offset` on; it has size_bytes in all, offset ≤
 * size_bytes. Events come in later turns. NULL, after *ret_refusal was filled, when it cannot. */
struct blob_upload *blob_upload_new(struct blobs *blobs, const struct digest *digest,
                                    uint64_t offset, uint64_t size_bytes,
                                    const struct blob_upload_events *events, void *context,
                                    struct blob_result *ret_refusal);

/* Where the next bytes go; none while the disk is busy, until `room`. Also none beyond what the
 * blob's size leaves: then blob_upload_is_full. */
struct room blob_upload_room(struct blob_upload *upload);
bool blob_upload_is_full(const struct blob_upload *upload);

/* So many bytes are in the room asked for last. */
void blob_upload_received(struct blob_upload *upload, size_t count);

/* No more bytes come in this request; `done` follows. */
void blob_upload_end(struct blob_upload *upload);

/* The client has gone: what has come is kept, `done` is not called. Not after `done`. */
void blob_upload_leave(struct blob_upload *upload);

/* ---- downloading (blob_download.c) ---- */

struct blob_download;

struct blob_download_events {
    /* It is there, so large; or not. After an error nothing follows. */
    void (*opened)(void *context, uint64_t size_bytes, const struct error *error);
    /* The next bytes, to be used until blob_download_next; size 0: the end; data NULL: it cannot be
     * read. */
    void (*bytes)(void *context, struct span bytes);
};

/* Opens a blob for reading. NULL when there is no memory. */
struct blob_download *blob_download_new(struct blobs *blobs, const struct digest *digest,
                                        const struct blob_download_events *events, void *context,
                                        struct error *ret_error);

/* Reads on: `bytes` follows, in a later turn. */
void blob_download_next(struct blob_download *download);

/* Ends it, in any state; no event follows. Accepts NULL. */
void blob_download_free(struct blob_download *download);

#endif
