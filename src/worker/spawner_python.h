/* A worker that is a Python interpreter: what it may read, and how it is executed. For
 * spawner_child.c alone, in the child. */
#ifndef TENSORD_WORKER_SPAWNER_PYTHON_H
#define TENSORD_WORKER_SPAWNER_PYTHON_H

#include "worker/sandbox.h"

#include <limits.h>

enum { SPAWNER_PYTHON_PATHS = 6 };

/* The folders of an interpreter. */
struct spawner_python {
    char program[PATH_MAX];          /* the executable, links resolved */
    char environment[PATH_MAX];      /* the prefix that holds the path as it was given */
    char base_environment[PATH_MAX]; /* the same two of the server's interpreter */
    char base_base[PATH_MAX];
};

/* Finds them for the interpreter at an absolute path. `server_python` is the server's own, whose
 * prefixes an environment that is built upon it needs; its pyvenv.cfg is believed, that of an
 * environment is not: it comes from whoever built that. An executable must lie in one of these
 * prefixes or beneath /usr or /opt; one that leads elsewhere would let the worker read there. */
bool spawner_python_find(const char *interpreter, const char *server_python,
                         struct spawner_python *ret_python, struct error *ret_error);

/* What the worker may open. Returns how many rows there are, at most SPAWNER_PYTHON_PATHS. */
size_t spawner_python_paths(const struct spawner_python *python, struct sandbox_path *rows);

#endif
