/* The APIs: they turn messages of the Open Inference Protocol into inferences and answers back into
 * messages, the same over REST and gRPC. All calls are for the loop's thread. */
#ifndef TENSORD_API_API_H
#define TENSORD_API_API_H

#include "auth/scope.h"
#include "base/buf.h"
#include "protocol/http.h"
#include "serving/serving.h"

struct blobs;
struct gate;
struct installer;
struct loads;
struct regions;

/* Which exchanges get a line in the log. */
enum access_log { ACCESS_LOG_OFF, ACCESS_LOG_ERRORS, ACCESS_LOG_ALL };

/* What all calls share. Belongs to the caller and outlives every exchange. */
struct api {
    struct serving *serving;
    struct gate *gate;
    const char *server_id; /* the server's name in its metadata */
    bool leaving;          /* the server is about to end: it is not ready any more */
    enum access_log access_log;
    bool server_timing;     /* every answer to an inference says where its time went */
    size_t max_json_bytes;  /* of a JSON body, and of the JSON head before binary tensors */
    size_t max_body_bytes;  /* of a body with binary tensors, and of a gRPC message */
    struct budget messages; /* of requests' heads, JSON and gRPC, received and to be sent, beside
                             * tensors */
    struct blobs *blobs;
    struct installer *installer;
    struct loads *loads;     /* files that loads bring */
    struct regions *regions; /* clients' shared memory */
    bool regions_allowed;    /* to callers with this scope: */
    enum scope regions_scope;
    size_t max_push_files;      /* of a model that is pushed */
    size_t max_stream_requests; /* that run at once on one ModelStreamInfer */
    struct list streams;        /* of ModelStreamInfer that are open */
    size_t max_watches;         /* of the server's health, over gRPC, that may be open at once */
    struct list watches;        /* those that are */
    size_t watch_count;
};

/* Whether the server is ready for requests: the first scan of the repository is done, and it is not
 * about to end. No single model changes that. */
bool api_is_ready(const struct api *api);

/* Ends all open ModelStreamInfer, which may be idle for as long as their clients like, when what
 * runs on them has been answered. */
void api_end_streams(struct api *api);

/* Whether the server is ready may have changed: tells those who watch it. */
void api_tell_watches(struct api *api);

/* Ends their calls, behind the last change. */
void api_end_watches(struct api *api);

/* Takes in a request from a transport: http_server.on_request, whose context is a struct api. */
void api_request(struct http_server *server, struct http_exchange *exchange);

#endif
