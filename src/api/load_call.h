/* Loading and unloading models: REST and gRPC differ only in how they answer. Both write the audit
 * log. */
#ifndef TENSORD_API_LOAD_CALL_H
#define TENSORD_API_LOAD_CALL_H

#include "api/call.h"

struct load_file;

/* What a load asks for, with the client's message, of which all texts are views. */
struct load_wish {
    struct buf message;
    struct arena arena;      /* of lists, and of strings that had escapes */
    bool wait;               /* for its end; else it is a hint */
    struct span config;      /* JSON, in the place of the config in the repository; empty: none */
    struct load_file *files; /* in the place of the model's folder there */
    size_t file_count, file_capacity;
};

/* Starts a wish with the call's body as its message, which it takes over. */
void load_wish_init(struct load_wish *wish, struct api_call *call);
void load_wish_fini(struct load_wish *wish);

/* Adds a file of the parameter `name`, "file:1/model.onnx". False without memory. Any thread. */
bool load_wish_add_file(struct load_wish *wish, struct span name, struct span content, bool base64,
                        struct error *ret_error);

/* Whether the parameter is one of a file. */
static inline bool load_brings_file(struct span parameter)
{
    return span_starts_with(parameter, SPAN("file:"));
}

/* The error of a parameter that is none of a load: one that was mistyped would be missed. False. */
bool load_parameter_unknown(struct span parameter, struct error *ret_error);

/* Loads the model of that name and calls done once it is ready or has failed (ERROR_OK or why); not
 * when the client goes first. Without wait it calls done as soon as the load has begun. A config,
 * and files, count until the next load or unload of the model, or until this load has failed: then
 * what counted before does. Takes the wish over: it is empty then. */
void load_call_begin(struct api_call *call, struct span model, struct load_wish *wish,
                     void (*done)(struct api_call *call, const struct error *error));

/* Unloads the model of that name, and with `dependents` those that its steps use, if it is a
 * pipeline and the caller may use them. False (NOT_FOUND) when the caller knows no such model. */
bool unload_call(struct api_call *call, struct span model, bool dependents,
                 struct error *ret_error);

#endif
