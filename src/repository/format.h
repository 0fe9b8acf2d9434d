/* Formats of models, recognised by the names of files and, where other files have such names too,
 * by their first bytes: which kind of process serves them, and whether loading them runs code that
 * they bring. Pure. */
#ifndef TENSORD_REPOSITORY_FORMAT_H
#define TENSORD_REPOSITORY_FORMAT_H

#include "base/span.h"

/* What kind of process serves a model. */
enum format_runtime {
    RUNTIME_NATIVE,   /* a worker of this program, with an engine that is a shared library */
    RUNTIME_PYTHON,   /* a worker that is a Python interpreter */
    RUNTIME_SERVER,   /* a worker that keeps a program which speaks HTTP */
    RUNTIME_PIPELINE, /* none: its steps are models that have theirs */
    RUNTIME_COUNT
};

/* What of a name makes a format. */
enum format_kind {
    FORMAT_MANIFEST, /* a whole name, of a file that says what its folder is, whatever else lies
                        there */
    FORMAT_ENDING,   /* the end of a file's name: such a file is a model by itself */
    FORMAT_MARKER,   /* a whole name, of a file that such folders have */
};

/* A row of the table. */
struct format {
    const char *name; /* "onnx" */
    const char *file; /* an ending or a whole name */
    enum format_kind kind;
    enum format_runtime runtime;
    bool code;        /* loading runs code in the file: who brings it needs the scope `code` */
    const char *head; /* the first bytes of such a file; NULL: the name says enough */
};

/* The format that is called so, as a config may name it; NULL when there is none. */
const struct format *format_named(struct span name);

/* The format of a file that is a model by itself, by its name, and the name without the ending;
 * NULL when there is none. Files that accompany code by convention (setup.py, conftest.py,
 * test_….py, _….py) have none. The caller compares a row's head. */
const struct format *format_of_file(const char *name, struct span *ret_stem);

/* The same of a file in a model's folder, where a whole name may say it; then the stem is empty. */
const struct format *format_of_entry(const char *name, struct span *ret_stem);

/* Of two files of one folder, does the first say more about what the model is? NULL says nothing.
 * A manifest says more than a file called model.… or a marker, and these more than others; then the
 * order of the table decides, in which code comes first: a model's code has its data beside it.
 * What wins is loaded, and nothing else in the folder: its `code` counts for all of it. */
bool format_wins(const struct format *format, struct span stem, const struct format *other,
                 struct span other_stem);

#endif
