/* Formats of models, recognised by the names of files alone: which kind of process serves them, and
 * whether loading them runs code that they bring. Pure. */
#ifndef TENSORD_REPOSITORY_FORMAT_H
#define TENSORD_REPOSITORY_FORMAT_H

#include "base/span.h"

/* What kind of process serves a model. */
enum format_runtime {
    RUNTIME_NATIVE, /* a worker of this program, with an engine that is a shared library */
    RUNTIME_PYTHON, /* a worker that is a Python interpreter */
    RUNTIME_COUNT
};

/* A row of the table. */
struct format {
    const char *name;   /* "onnx" */
    const char *ending; /* of a file's name: ".onnx" */
    enum format_runtime runtime;
    bool code; /* loading runs code in the file: who brings it needs the scope `code` */
};

/* The format of a file by its name, and the name without the ending; NULL when there is none. Files
 * that accompany code by convention (setup.py, conftest.py, test_….py, _….py) have none. */
const struct format *format_of_file(const char *name, struct span *ret_stem);

/* Of two files of one folder, does the first say more about what the model is? NULL says nothing.
 * A file called model.… says more than others; then the order of the table decides, in which code
 * comes first: a model's code has its data beside it. */
bool format_wins(const struct format *format, struct span stem, const struct format *other,
                 struct span other_stem);

#endif
