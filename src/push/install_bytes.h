/* What is asked of the process that changes the folder of models, and what it answers, as bytes
 * (base/pack.h). The process trusts the question no more than a client's: install.c checks it
 * again. Pure. */
#ifndef TENSORD_PUSH_INSTALL_BYTES_H
#define TENSORD_PUSH_INSTALL_BYTES_H

#include "base/buf.h"
#include "push/manifest.h"

enum { INSTALL_MAX_BYTES = 128 << 20 };

enum install_kind {
    INSTALL_TIDY,   /* remove what an installer has left that was killed */
    INSTALL_PUT,    /* a version of a model, of blobs */
    INSTALL_LOAD,   /* a model of files that a load brings, all its versions, where there is none */
    INSTALL_REMOVE, /* a version of a model, or all of it */
    INSTALL_LIST,   /* the files of a version; each is a blob afterwards */
    INSTALL_KINDS
};

struct install_question {
    enum install_kind kind;
    struct span blobs;        /* the folder of blobs, absolute */
    struct span name;         /* of the model; empty for TIDY */
    bool may_bring_code;      /* PUT: what is put may be code */
    struct manifest manifest; /* its version is that of REMOVE and LIST, too */
};

struct install_answer {
    struct error error;     /* ERROR_OK: it is done */
    uint64_t version;       /* that was put, or listed */
    bool unchanged;         /* PUT: it lay there already */
    struct manifest listed; /* LIST: the files; PUT that failed: those whose blobs are missing */
};

/* Append to buf; a failure shows in buf_ok. */
void install_question_write(const struct install_question *question, struct buf *buf);
void install_answer_write(const struct install_answer *answer, struct buf *buf);

/* Read; arrays lie in the arena, strings are views of the bytes. False when they are none. */
bool install_question_read(struct span bytes, struct arena *arena,
                           struct install_question *ret_question);
bool install_answer_read(struct span bytes, struct arena *arena, struct install_answer *ret_answer);

#endif
