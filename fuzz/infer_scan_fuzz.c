/* A ModelInferRequest in slices: however it is cut, the scan does the same; and what it accepts
 * decodes like the whole message. The first byte of the input is the size of the slices. */
#include "codec/infer_scan.h"
#include "codec/inference.pb.h"

#include <assert.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = 1 << 16, ARENA_BYTES = 1 << 22 };

struct outcome {
    struct infer_scan scan;
    struct error error;
    bool ok;
    char payloads[MESSAGE_BYTES];
    size_t payloads_size, payload_start;
};

static struct room give_room(void *context, size_t index, uint64_t size, uint64_t offset)
{
    struct outcome *outcome = context;
    if (offset == 0) {
        outcome->payload_start = outcome->payloads_size;
        outcome->payloads_size += (size_t)size;
        assert(outcome->payloads_size <= sizeof outcome->payloads);
    }
    return (struct room){outcome->payloads + outcome->payload_start + offset, size - offset};
}

static struct outcome *scan(struct span message, size_t slice_bytes)
{
    const struct infer_scan_limits limits = {message.size, 1 << 12, 16};
    struct outcome *outcome = calloc(1, sizeof *outcome);
    assert(outcome);
    infer_scan_init(&outcome->scan, &limits, &(struct infer_scan_rooms){outcome, give_room});
    outcome->ok = true;
    while (outcome->ok && message.size) {
        struct span slice = {message.data, message.size < slice_bytes ? message.size : slice_bytes};
        size_t taken = 0;
        outcome->ok = infer_scan_feed(&outcome->scan, slice, &taken, &outcome->error);
        assert(!outcome->ok || taken == slice.size);
        message = span_after(message, taken);
    }
    outcome->ok = outcome->ok && infer_scan_end(&outcome->scan, &outcome->error);
    return outcome;
}

static void outcome_free(struct outcome *outcome)
{
    infer_scan_fini(&outcome->scan);
    free(outcome);
}

static void same(const struct outcome *a, const struct outcome *b)
{
    assert(a->ok == b->ok && a->error.code == b->error.code);
    assert(a->scan.raw_count == b->scan.raw_count);
    assert(span_equal(buf_span(&a->scan.head), buf_span(&b->scan.head)));
    assert(!a->ok || a->payloads_size == b->payloads_size);
    assert(!a->ok || memcmp(a->payloads, b->payloads, a->payloads_size) == 0);
}

/* The head and the payloads hold what the whole message holds. */
static void same_as_whole(const struct outcome *outcome, struct span message)
{
    struct arena arena;
    struct error error;
    struct inference_model_infer_request head, whole;
    arena_init(&arena, 4096, ARENA_BYTES);
    bool ok = pb_decode(&inference_model_infer_request_pb, message, &arena, &whole, &error);
    bool head_ok = pb_decode(&inference_model_infer_request_pb, buf_span(&outcome->scan.head),
                             &arena, &head, &error);
    assert(ok == head_ok || error.code == ERROR_RESOURCE_EXHAUSTED);
    if (ok && head_ok) {
        assert(whole.raw_input_contents.count == outcome->scan.raw_count);
        assert(whole.inputs.count == head.inputs.count);
        size_t in_head = 0, outside = 0;
        for (size_t i = 0; i < outcome->scan.raw_count; i++) {
            struct span raw = whole.raw_input_contents.items[i], other;
            if (infer_scan_is_outside(&outcome->scan, i)) {
                other = (struct span){outcome->payloads + outside, raw.size};
                outside += raw.size;
            } else {
                other = head.raw_input_contents.items[in_head++];
            }
            assert(span_equal(raw, other));
        }
        assert(in_head == head.raw_input_contents.count && outside == outcome->payloads_size);
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MESSAGE_BYTES)
        return 0;
    struct span message = {(const char *)data + 1, size - 1};
    struct outcome *whole = scan(message, message.size);
    struct outcome *sliced = scan(message, data[0] % 16 + 1);
    same(whole, sliced);
    if (whole->ok)
        same_as_whole(whole, message);
    outcome_free(whole);
    outcome_free(sliced);
    return 0;
}
