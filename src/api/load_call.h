/* Loading and unloading models: REST and gRPC differ only in how they answer. Both write the audit
 * log. */
#ifndef TENSORD_API_LOAD_CALL_H
#define TENSORD_API_LOAD_CALL_H

#include "api/call.h"

/* What a load asks for. */
struct load_wish {
    bool wait;          /* for its end; else it is a hint */
    struct span config; /* JSON, in the place of the config in the repository; empty: none */
};

/* Loads the model of that name and calls done once it is ready or has failed (ERROR_OK or why); not
 * when the client goes first. Without wait it calls done as soon as the load has begun. A config
 * counts until the next load or unload of the model, or until this load has failed. */
void load_call_begin(struct api_call *call, struct span model, const struct load_wish *wish,
                     void (*done)(struct api_call *call, const struct error *error));

/* Refuses a parameter of a load that would change which files are loaded, one that begins with
 * "file:": what lies in the repository is served, and a client that brings files pushes them. False
 * with UNIMPLEMENTED. */
bool load_call_check(struct span parameter, struct error *ret_error);

/* Unloads the model of that name, and with `dependents` those that its steps use, if it is a
 * pipeline and the caller may use them. False (NOT_FOUND) when the caller knows no such model. */
bool unload_call(struct api_call *call, struct span model, bool dependents,
                 struct error *ret_error);

#endif
