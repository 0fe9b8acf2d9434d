/* A ModelInferRequest on its way in; see infer_message.h. */
#include "api/infer_message.h"

enum { SMALL_BYTES = 4096 }; /* up to here copying the tensors is cheaper than scanning for them */

void infer_reader_init(struct grpc_reader *reader, const struct api_call *call)
{
    size_t limit = call->api->max_body_bytes < INT32_MAX ? call->api->max_body_bytes
                                                         : INT32_MAX; /* as gRPC's own servers */
    grpc_reader_init(reader, &call->exchange->request, limit);
    reader->plain.budget = &call->api->messages;
    reader->plain.limit_bytes =
        limit < call->api->max_json_bytes ? limit : call->api->max_json_bytes;
}

void infer_message_init(struct infer_message *message, struct api_call *call, struct arena *arena,
                        void (*resumed)(struct infer_message *, const struct error *))
{
    message->call = call;
    message->arena = arena;
    message->resumed = resumed;
    message->whole = true;
    buf_init_within(&message->body, call->api->max_json_bytes, &call->api->messages);
    buf_init_within(&message->tail, call->api->max_json_bytes, &call->api->messages);
}

void infer_message_fini(struct infer_message *message)
{
    buf_fini(&message->body);
    buf_fini(&message->tail);
}

/* ---- memory ---- */

static bool place_tensors(struct infer_message *message, struct error *ret_error);

static void reserved(struct inference *inference, const struct error *error)
{
    struct infer_message *message = list_entry(inference, struct infer_message, inference);
    struct error failure = *error;
    message->waits = false;
    if (error->code == ERROR_OK && message->scanned && !place_tensors(message, &failure))
        message->resumed(message, &failure);
    else
        message->resumed(message, error->code == ERROR_OK ? NULL : error);
}

/* Reserves memory for all inputs; false when they cannot have it. */
static bool reserve(struct infer_message *message, uint64_t needed_bytes, struct error *ret_error)
{
    message->inference.reserved = reserved;
    enum inference_memory memory = inference_reserve(
        &message->inference, needed_bytes, infer_grpc_request_rows(&message->request),
        http_held_bytes(message->call->exchange), ret_error);
    message->waits = memory == INFERENCE_MEMORY_WAITS;
    return memory != INFERENCE_MEMORY_REFUSED;
}

static bool read_head(struct infer_message *message, struct error *ret_error)
{
    return infer_grpc_request_read(&message->request, message->call, buf_span(&message->body),
                                   message->arena, &message->inference, ret_error);
}

/* The first tensor begins: the sizes of all are not known yet, but that they are part of what is
 * still to come. */
static bool begin_scanned(struct infer_message *message, struct error *ret_error)
{
    if (!read_head(message, ret_error))
        return false;
    message->scanned = true;
    message->scan.head = &message->tail; /* the decoded head must not move any more */
    uint64_t input_count = message->request.message.inputs.count;
    return reserve(message,
                   message->scan.left_bytes + input_count * TENSOR_ALIGNMENT +
                       message->request.region_bytes,
                   ret_error);
}

/* Gives places to the tensors that begin, unless there is no memory yet. */
static bool place_tensors(struct infer_message *message, struct error *ret_error)
{
    uint64_t size;
    char *to;
    while (infer_scan_asks(&message->scan, &size)) {
        if (!message->scanned && !begin_scanned(message, ret_error))
            return false;
        if (message->waits)
            return true;
        if (!infer_grpc_request_next_raw(&message->request, &message->inference, size, &to,
                                         ret_error))
            return false;
        infer_scan_place(&message->scan, to);
    }
    return true;
}

/* ---- its bytes ---- */

void infer_message_begin(struct infer_message *message, const struct grpc_reader *reader)
{
    message->whole = reader->size_bytes <= SMALL_BYTES;
    infer_scan_init(&message->scan, &message->body, reader->size_bytes);
    message->call->exchange->body_expected_bytes = reader->size_bytes;
}

struct room infer_message_room(struct infer_message *message, size_t left_bytes)
{
    if (message->waits)
        return (struct room){NULL, 0};
    if (!message->whole)
        return infer_scan_room(&message->scan);
    char *data = buf_reserve(&message->body, left_bytes);
    return (struct room){data, data ? left_bytes : 0};
}

void infer_message_no_room(const struct infer_message *message, struct error *ret_error)
{
    const struct buf *head = message->whole ? &message->body : message->scan.head;
    uint64_t wanted = message->whole ? 0 : message->scan.run_bytes;
    if (head->limit_bytes - head->size >= (wanted ? wanted : 1)) {
        message_no_memory(head, ret_error);
        return;
    }
    limit_hit(LIMIT_max_json_mib);
    error_set(ret_error, ERROR_TOO_LARGE,
              "the message is longer than the %zu bytes that are allowed beside raw_input_contents",
              head->limit_bytes);
}

bool infer_message_advance(struct infer_message *message, size_t count, struct error *ret_error)
{
    if (!message->whole)
        return infer_scan_advance(&message->scan, count, ret_error) &&
               place_tensors(message, ret_error);
    message->body.size += count;
    return true;
}

void infer_message_take(struct infer_message *message, struct grpc_reader *reader)
{
    grpc_reader_message(reader, &message->body);
}

/* ---- its end ---- */

static bool is_sound(const struct infer_message *message, struct error *ret_error)
{
    return message->whole || infer_scan_complete(&message->scan) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the message is no ModelInferRequest");
}

bool infer_message_end(struct infer_message *message, struct error *ret_error)
{
    uint64_t needed;
    return message->scanned || (is_sound(message, ret_error) && read_head(message, ret_error) &&
                                infer_grpc_request_measure(&message->request, &needed, ret_error) &&
                                reserve(message, needed, ret_error));
}

/* All inputs are made, but for those in shared memory. */
static bool make_others(struct infer_message *message, struct error *ret_error)
{
    if (!message->scanned)
        return infer_grpc_request_copy(&message->request, &message->inference, ret_error);
    return is_sound(message, ret_error) &&
           infer_grpc_request_end_raw(&message->request, ret_error) &&
           infer_grpc_request_check_tail(buf_span(&message->tail), message->arena, ret_error);
}

static void regions_read(struct infer_regions *regions, const struct error *error)
{
    struct infer_grpc_request *request = list_entry(regions, struct infer_grpc_request, regions);
    struct infer_message *message = list_entry(request, struct infer_message, request);
    message->waits = false;
    message->resumed(message, error->code == ERROR_OK ? NULL : error);
}

bool infer_message_finish(struct infer_message *message, struct error *ret_error)
{
    if (message->finished)
        return true;
    message->finished = true;
    if (!make_others(message, ret_error) ||
        !infer_grpc_request_make_shared(&message->request, &message->inference, ret_error))
        return false;
    message->waits = infer_regions_read(&message->request.regions, regions_read);
    return true;
}
