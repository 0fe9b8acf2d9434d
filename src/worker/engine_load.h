/* Finding and loading the engine for a model: shared libraries in one folder, each exporting
 * tensord_engine(). */
#ifndef TENSORD_WORKER_ENGINE_LOAD_H
#define TENSORD_WORKER_ENGINE_LOAD_H

#include "base/error.h"

#include "tensord/engine.h"

/* The engine that source->config_engine names (folder/NAME.so), or the one that is surest that it
 * serves the source. Libraries stay loaded until the process ends. NULL with the reason: no such
 * engine (and which there are), one of another interface version or that others may write, or none
 * that knows what this is. */
const struct tensord_engine *engine_find(const char *folder, const struct tensord_source *source,
                                         struct error *ret_error);

/* Engines are code: a folder of them, and each library in it, must belong to root or to the user
 * who runs the server, and be writable by nobody else (a group is well if it is that user's own).
 * False with the sentence when the path is otherwise, or cannot be looked at. */
bool engine_place_check(const char *path, struct error *ret_error);

/* False with the reason when the engine was built for another interface. */
bool engine_check(const struct tensord_engine *engine, struct error *ret_error);

#endif
