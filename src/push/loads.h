/* Files that loads bring, as Triton's parameters "file:…" do: a model is served from them instead
 * of its folder in the repository.
 *
 * The files of one load lie in a folder of its own, in this server's folder of the state folder,
 * for as long as something holds it: the load's place in the repository's watch, and every
 * generation that serves them. They outlast neither a restart nor an upgrade. A server's folder is
 * locked while it lives: one that nobody holds was left by a server that was killed, and the next
 * one to start removes it.
 *
 * They are written on a thread, under the names of their digests, as blobs are, and put together,
 * checked and judged by an installer as if they were pushed; their bytes count among those of the
 * blobs. All calls are for the loop's thread. */
#ifndef TENSORD_PUSH_LOADS_H
#define TENSORD_PUSH_LOADS_H

#include "push/blobs.h"
#include "push/installer.h"

#include <limits.h>

struct loads {
    struct loop *loop;
    struct blobs *blobs; /* whose limit on bytes counts these, too */
    struct installer *installer;
    unsigned task;       /* the spawner's that may write in the folder and runs install_run */
    char path[PATH_MAX]; /* of this server's folder, absolute; empty: loads can bring no files */
    int fd;              /* of the folder, which it keeps locked; -1: there is none */
    uint64_t last;       /* number of a load's folder */
    struct list folders; /* of struct load_folder */
    struct loop_work tidying;
};

/* The files of a load. */
struct load_folder {
    struct list_link link;
    struct loads *loads;
    unsigned references;
    uint64_t bytes;        /* that count among those of the blobs */
    struct loop_work work; /* its removal */
    char path[PATH_MAX];
    char blobs[PATH_MAX + 8];
    char models[PATH_MAX + 8]; /* a repository with just that model */
};

/* Starts without a folder: loads that bring files are refused. */
void loads_init(struct loads *loads);

/* Makes this server's folder in the folder `path` of all servers, made when it is not there. Before
 * the sandbox closes in, which must let `path` be read and written. False with a sentence. */
bool loads_open(struct loads *loads, struct loop *loop, struct blobs *blobs,
                struct installer *installer, unsigned task, const char *path,
                struct error *ret_error);

/* Removes, soon, what servers have left that were killed. */
void loads_tidy(struct loads *loads);

/* Removes the server's folder, as it ends; blocks. */
void loads_close(struct loads *loads);

/* The folder that holds the path, with one reference more; NULL when no load's does. */
struct load_folder *loads_hold(struct loads *loads, struct span path);

/* Drops a reference; the last one has the files removed. */
void load_folder_unref(struct load_folder *folder);

/* ---- bringing files ---- */

/* One of them, in the client's message. */
struct load_file {
    struct span path;    /* within the model's folder: "1/model.onnx" */
    struct span content; /* its bytes, or base64 that means them */
    bool base64;
};

/* A load's files on their way to their folder; the caller's memory until `done`, zeroed but for the
 * first members, whose bytes must live as long. */
struct load_put {
    struct span name, config; /* of the model; the config as JSON, which is put beside the files */
    struct load_file *files;
    size_t count, max_count;
    bool may_bring_code;
    void (*done)(struct load_put *put);
    struct error error;         /* for `done`: ERROR_OK, or why there is no folder */
    struct load_folder *folder; /* for `done`, which takes over its reference */
    struct loop_work work;
    struct install_place place;
    struct install_job job;
    struct arena arena;
};

/* Begins. `done` is called in a later turn. False, and `done` is not called, when it cannot. */
bool load_put_begin(struct loads *loads, struct load_put *put, struct error *ret_error);

#endif
