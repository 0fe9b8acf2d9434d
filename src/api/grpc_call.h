/* A gRPC call: reading its messages, decoding them by the tables, writing answers. */
#ifndef TENSORD_API_GRPC_CALL_H
#define TENSORD_API_GRPC_CALL_H

#include "api/call.h"
#include "codec/protobuf_files.h"
#include "protocol/grpc.h"

/* A row of the table of gRPC methods (grpc_routes.c). */
struct grpc_route {
    const char *path; /* "/package.Service/Method" */
    enum scope scope;
    /* A message has come and is decoded; it lies in the call's arena until the answer. Each message
     * of a stream gets one answer. */
    void (*serve)(struct api_call *call, const void *message);
    void (*begin)(
        struct api_call *call); /* instead of serve, before the body; sets exchange->handler */
};

/* The rows, in order. */
const struct grpc_route *grpc_route_table(size_t *ret_count);

/* The route of a path, or NULL. */
const struct grpc_route *grpc_route_find(struct span path);

/* Starts a call of that route, which the gate has let in. */
void grpc_call_begin(struct api_call *call, const struct grpc_route *route);

/* Answers with a message of this table; ends a unary call. The answer before it must have been
 * taken. */
void grpc_call_reply(struct api_call *call, const struct pb_message *table, const void *message);

/* Before the first answer: there will be several, whenever the method likes, until grpc_call_end or
 * grpc_call_fail. `taken` is told when the client has taken one, and the next may be given. */
void grpc_call_goes_on(struct api_call *call, void (*taken)(struct api_call *call));

/* Ends a call that went on, well. */
void grpc_call_end(struct api_call *call);

/* Ends the call with an error. */
void grpc_call_fail(struct api_call *call, const struct error *error);

/* For calls with a handler of their own: the deadline that grpc-timeout gives, else CLOCK_NEVER.
 * False with the error. */
bool grpc_call_deadline(const struct api_call *call, uint64_t *ret_deadline_ns,
                        struct error *ret_error);

/* Fills the error of an inference that comes while the server stops, as Triton's clients know it.
 * Returns false. */
bool grpc_call_leaves(struct error *ret_error);

/* Whether Check and Watch know the service: "", the server as a whole, and the one of inference. */
bool grpc_health_knows(struct span service); /* grpc_health.c */

/* What the rows serve, by file. */
void grpc_server_live(struct api_call *call, const void *message); /* grpc_health.c */
void grpc_server_ready(struct api_call *call, const void *message);
void grpc_model_ready(struct api_call *call, const void *message);
void grpc_health_check(struct api_call *call, const void *message);
void grpc_health_watch(struct api_call *call, const void *message);    /* grpc_watch.c */
void grpc_server_metadata(struct api_call *call, const void *message); /* grpc_metadata.c */
void grpc_model_metadata(struct api_call *call, const void *message);
void grpc_model_config(struct api_call *call, const void *message);
void grpc_model_statistics(struct api_call *call, const void *message); /* grpc_statistics.c */
void grpc_trace_setting(struct api_call *call, const void *message);    /* grpc_settings.c */
void grpc_log_settings(struct api_call *call, const void *message);
void grpc_repository_index(struct api_call *call, const void *message); /* grpc_repository.c */
void grpc_repository_load(struct api_call *call, const void *message);
void grpc_repository_unload(struct api_call *call, const void *message);
void grpc_system_memory_status(struct api_call *call,
                               const void *message); /* grpc_shared_memory.c */
void grpc_system_memory_register(struct api_call *call, const void *message);
void grpc_system_memory_unregister(struct api_call *call, const void *message);
void grpc_cuda_memory_status(struct api_call *call, const void *message);
void grpc_cuda_memory_register(struct api_call *call, const void *message);
void grpc_cuda_memory_unregister(struct api_call *call, const void *message);
void grpc_reflection(struct api_call *call, const void *message); /* grpc_reflection.c */
void grpc_infer_begin(struct api_call *call);                     /* infer_grpc.c */
void grpc_stream_infer_begin(struct api_call *call);              /* infer_grpc_stream.c */

#endif
