/* A ModelInferRequest in slices: what the scan accepts decodes like the whole message, with the
 * tensors where they were put. The first byte of the input is the size of the slices. */
#include "codec/infer_scan.h"
#include "codec/inference.pb.h"

#include <assert.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = 1 << 16, ARENA_BYTES = 1 << 22 };

struct tensors {
    char bytes[MESSAGE_BYTES];
    size_t size;
};

static void place(struct infer_scan *scan, struct tensors *tensors)
{
    uint64_t size;
    while (infer_scan_asks(scan, &size)) {
        assert(size <= sizeof tensors->bytes - tensors->size);
        infer_scan_place(scan, tensors->bytes + tensors->size);
        tensors->size += size;
    }
}

static bool scan(struct infer_scan *scan, struct buf *head, struct tensors *tensors,
                 struct span message, size_t slice)
{
    struct error error;
    infer_scan_init(scan, head, message.size);
    while (message.size) {
        struct room room = infer_scan_room(scan);
        size_t count = room.size < slice ? room.size : slice;
        if (count == 0)
            return false;
        assert(count <= message.size); /* it never asks for more than the message has */
        memcpy(room.data, message.data, count);
        message = span_after(message, count);
        if (!infer_scan_advance(scan, count, &error))
            return false;
        place(scan, tensors);
    }
    return infer_scan_complete(scan);
}

static void same_as_whole(struct span message, struct span head_bytes,
                          const struct tensors *tensors)
{
    struct arena arena;
    struct error error;
    struct inference_model_infer_request head, whole;
    arena_init(&arena, 4096, ARENA_BYTES);
    bool ok = pb_decode(&inference_model_infer_request_pb, message, &arena, &whole, &error);
    bool head_ok = pb_decode(&inference_model_infer_request_pb, head_bytes, &arena, &head, &error);
    assert(ok == head_ok || error.code == ERROR_RESOURCE_EXHAUSTED);
    size_t at = 0;
    for (uint32_t i = 0; ok && i < whole.raw_input_contents.count; i++) {
        struct span raw = whole.raw_input_contents.items[i];
        assert(span_equal(raw, (struct span){tensors->bytes + at, raw.size}));
        at += raw.size;
    }
    assert(!ok || at == tensors->size);
    assert(!ok || !head_ok ||
           (head.raw_input_contents.count == 0 && head.inputs.count == whole.inputs.count));
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infer_scan state;
    struct buf head;
    if (size < 2 || size > MESSAGE_BYTES)
        return 0;
    struct span message = {(const char *)data + 1, size - 1};
    struct tensors *tensors = calloc(1, sizeof *tensors);
    if (!tensors)
        return 0;
    buf_init(&head, MESSAGE_BYTES);
    if (scan(&state, &head, tensors, message, data[0] % 16 + 1))
        same_as_whole(message, buf_span(&head), tensors);
    buf_fini(&head);
    free(tensors);
    return 0;
}
