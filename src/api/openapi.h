/* The API as an OpenAPI 3.1 document: of the server, and of one model, whose requests and answers
 * it then knows to the shape. It comes from the table of routes and the model's schema. */
#ifndef TENSORD_API_OPENAPI_H
#define TENSORD_API_OPENAPI_H

#include "api/call.h"
#include "base/buf.h"

/* What a route does, beyond what the table of routes says. A text that is NULL means that there is
 * nothing of it. */
struct operation {
    void (*handler)(struct api_call *call); /* the route's serve, or begin */
    enum http_method method;
    const char *id; /* in mixed case, as programs call it; routes of a version add OfVersion */
    const char *summary;
    const char *request;       /* name of the body's schema */
    const char *request_type;  /* its media type; NULL: application/json */
    const char *response;      /* name of the answer's schema; NULL: the answer is empty */
    const char *response_type; /* likewise */
    const char *parameters;    /* JSON: those that are not in the path, with commas between */
    const char *status;        /* of success, "201"; NULL: "200" */
    const char *also;          /* another one, with the same answer */
    const char *binary;        /* tensors may go as bytes, both ways: the answer's schema then */
    const char *binary_type;   /* its media type; NULL: "application/octet-stream" */
    bool optional_body;
    bool of_server; /* the handler has routes without a model, too; those of one add OfModel,
                       of a region of shared memory OfRegion */
};

/* The operation of a route; NULL when there is none, which a unit test rules out. */
const struct operation *operation_find(const struct route *route);

/* Appends JSON in which ' stands for ". */
void openapi_say(struct buf *out, const char *text);

/* Appends a string of somebody else's. */
void openapi_string(struct buf *out, struct span string);

/* Appends one model's own schemas, InferRequest to PredictResponse, as members of an object. */
void openapi_put_model(struct buf *out, struct span name, const struct schema *schema);

/* What a document is about. */
struct openapi_subject {
    struct span model;           /* its name; data NULL: the server as a whole */
    uint64_t version;            /* that the document's paths name; 0: none */
    const struct schema *schema; /* of the model */
};

/* Writes the document. */
void openapi_write(struct buf *out, const struct openapi_subject *subject);

#endif
