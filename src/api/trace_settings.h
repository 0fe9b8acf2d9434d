/* Triton's trace extension: what REST and gRPC say alike. The settings act on the tracer; changes
 * of one request are made together or not at all. */
#ifndef TENSORD_API_TRACE_SETTINGS_H
#define TENSORD_API_TRACE_SETTINGS_H

#include "serving/serving.h"

enum { TRACE_SETTINGS = 6, TRACE_VALUE_BYTES = 24 };

/* A setting as it is now, always one value. */
struct trace_shown {
    struct span name;
    struct span value; /* points into text, or is a literal */
    bool list;         /* written as a list of one */
    char text[TRACE_VALUE_BYTES];
};

/* Fills in the settings that hold for the model; NULL: for the server. */
void trace_settings_show(const struct serving *serving, const struct model *model,
                         struct trace_shown ret_shown[TRACE_SETTINGS]);

/* Changes under way. */
struct trace_change {
    struct tracer *tracer;
    struct model *model;          /* NULL: the server */
    struct trace_setting setting; /* as it will be */
};

/* Starts from what holds now. */
void trace_change_begin(struct trace_change *change, struct serving *serving, struct model *model);

/* Notes one change: the values of a setting; none: it goes back to the server's, or to what the
 * server was started with. False with INVALID_ARGUMENT, or UNIMPLEMENTED for what is not done here.
 */
bool trace_change_set(struct trace_change *change, struct span name, const struct span *values,
                      size_t count, struct error *ret_error);

/* Makes the changes. */
void trace_change_commit(struct trace_change *change);

#endif
