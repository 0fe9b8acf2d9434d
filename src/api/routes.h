/* The table of routes: the gate, the router and the documentation of the API all come from it. */
#ifndef TENSORD_API_ROUTES_H
#define TENSORD_API_ROUTES_H

#include "api/call.h"

/* Finds the route of a request and fills the call's model and version from the path. NULL after
 * *ret_error was filled: NOT_FOUND, or METHOD_NOT_ALLOWED when the path is known under another
 * method. */
const struct route *route_find(const struct http_request *request, struct api_call *call,
                               struct error *ret_error);

/* The methods under which the path of the call's request is known, as the field Allow lists them;
 * NULL when there are none, or no memory. */
const char *route_methods(struct api_call *call);

/* The rows, in order. */
const struct route *route_table(size_t *ret_count);

/* What the rows serve, one file each. */
void serve_server_live(struct api_call *call); /* health.c */
void serve_server_ready(struct api_call *call);
void serve_model_ready(struct api_call *call);
void serve_alive(struct api_call *call);
void serve_server_metadata(struct api_call *call); /* metadata.c */
void serve_model_metadata(struct api_call *call);
void serve_model_list(struct api_call *call);
void serve_model_config(struct api_call *call);  /* model_config.c */
void serve_metrics(struct api_call *call);       /* metrics_rest.c */
void serve_statistics(struct api_call *call);    /* statistics.c */
void serve_trace_setting(struct api_call *call); /* settings_rest.c */
void serve_log_settings(struct api_call *call);
void begin_infer(struct api_call *call); /* infer_rest.c */
void begin_infer_stream(struct api_call *call);
void begin_generate(struct api_call *call);
void begin_generate_stream(struct api_call *call);
void begin_predict(struct api_call *call);
void serve_v1_models(struct api_call *call); /* kserve_v1.c */
void serve_v1_model(struct api_call *call);
void serve_explain(struct api_call *call);
void serve_openapi(struct api_call *call); /* openapi_rest.c */
void serve_docs(struct api_call *call);
void serve_repository_index(struct api_call *call); /* repository_rest.c */
void serve_repository_load(struct api_call *call);
void serve_repository_unload(struct api_call *call);
void serve_system_memory_status(struct api_call *call); /* shared_memory_rest.c */
void serve_system_memory_register(struct api_call *call);
void serve_system_memory_unregister(struct api_call *call);
void serve_cuda_memory_status(struct api_call *call);
void serve_cuda_memory_register(struct api_call *call);
void serve_cuda_memory_unregister(struct api_call *call);
void serve_blobs_missing(struct api_call *call); /* push_blobs.c */
void begin_blob_upload(struct api_call *call);
void serve_blob(struct api_call *call);
void serve_push(struct api_call *call); /* push_models.c */
void serve_manifest(struct api_call *call);
void serve_removal(struct api_call *call);
void serve_models(struct api_call *call);       /* push_list.c */
void serve_diff(struct api_call *call);         /* diff.c */
void serve_rollout(struct api_call *call);      /* rollout.c */
void serve_environments(struct api_call *call); /* environments.c */
void serve_environment_removal(struct api_call *call);
void serve_events(struct api_call *call); /* push_events.c */
void serve_logs(struct api_call *call);
void begin_proxy(struct api_call *call); /* proxy.c */

#endif
