/* A worker that is a Python interpreter: what it may read, and how it is executed. For
 * spawner_child.c alone, in the child. */
#ifndef TENSORD_WORKER_SPAWNER_PYTHON_H
#define TENSORD_WORKER_SPAWNER_PYTHON_H

#include "worker/sandbox.h"
#include "worker/spawner.h"

#include <limits.h>

enum { SPAWNER_PYTHON_PATHS = 9 };

/* The folders of an interpreter. */
struct spawner_python {
    char program[PATH_MAX];     /* the executable, links resolved */
    char environment[PATH_MAX]; /* the prefix that holds the path as it was given */
    char home[PATH_MAX];        /* of an environment that the server built: what it is built upon */
    char base_environment[PATH_MAX]; /* the same two of the server's interpreter */
    char base_base[PATH_MAX];
    /* As they are written, links included: by these names Python looks for itself. */
    char as_given[PATH_MAX], home_as_given[PATH_MAX], base_as_given[PATH_MAX];
};

/* Finds them for the interpreter at an absolute path. An executable must lie in one of these
 * prefixes or beneath /usr or /opt: one that leads elsewhere would let the worker read there. Two
 * say by their pyvenv.cfg what they are built upon: the server's own interpreter, and environments
 * that the server built and checked. Others come from whoever brought the model. Nor may a prefix
 * hold the folder of environments, beside which the server keeps its secrets. */
bool spawner_python_find(const char *interpreter, const struct spawner_options *options,
                         struct spawner_python *ret_python, struct error *ret_error);

/* What the worker may open. Returns how many rows there are, at most SPAWNER_PYTHON_PATHS. */
size_t spawner_python_paths(const struct spawner_python *python, struct sandbox_path *rows);

/* Writes the path of a file of the Python package, "/tensord/…"; of its folder for "". */
void spawner_python_file(const struct spawner_options *options, const char *file,
                         char path[PATH_MAX]);

#endif
