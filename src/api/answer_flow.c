/* Answers on their way; see answer_flow.h. What is on its way must not move, so that there are two
 * of everything, which change places. */
#include "api/answer_flow.h"

#include <assert.h>
#include <stdlib.h>

enum {
    VECTORS = 32,         /* handed to the exchange at a time */
    KEPT_BYTES = 16 << 10 /* of text, for the next answers; more goes back to the heap */
};

static void parts_fini(struct answer_parts *parts)
{
    buf_fini(&parts->text);
    free(parts->tensors);
    *parts = (struct answer_parts){.text = parts->text};
}

void answer_flow_init(struct answer_flow *flow, struct inference *inference, struct budget *budget)
{
    *flow = (struct answer_flow){.inference = inference};
    buf_init_within(&flow->next.text, SIZE_MAX / 2, budget);
    buf_init_within(&flow->sent.text, SIZE_MAX / 2, budget);
}

void answer_flow_fini(struct answer_flow *flow)
{
    parts_fini(&flow->next);
    parts_fini(&flow->sent);
}

bool answer_flow_tensor(struct answer_flow *flow, struct span data)
{
    struct answer_parts *next = &flow->next;
    if (!data.size)
        return true;
    if (next->tensor_count == next->tensor_capacity) {
        size_t capacity = next->tensor_capacity ? 2 * next->tensor_capacity : 8;
        struct answer_tensor *larger = reallocarray(next->tensors, capacity, sizeof *next->tensors);
        if (!larger)
            return false;
        next->tensors = larger;
        next->tensor_capacity = capacity;
    }
    next->tensors[next->tensor_count++] = (struct answer_tensor){next->text.size, data};
    return true;
}

void answer_flow_cut(struct answer_flow *flow, size_t size, size_t tensor_count)
{
    struct answer_parts *next = &flow->next;
    assert(size <= next->text.size && tensor_count <= next->tensor_count);
    next->text.size = size;
    next->text.failed = next->text.unaffordable = false;
    next->tensor_count = tensor_count;
}

static struct iovec vector_of(const char *data, size_t size)
{
    return (struct iovec){(void *)(uintptr_t)data, size};
}

static void write_parts(const struct answer_parts *parts, struct http_exchange *exchange)
{
    struct iovec vectors[VECTORS];
    size_t count = 0, at = 0;
    for (size_t i = 0; i < parts->tensor_count; i++) {
        const struct answer_tensor *tensor = &parts->tensors[i];
        if (count + 2 > VECTORS) {
            http_body(exchange, vectors, count);
            count = 0;
        }
        if (tensor->at > at)
            vectors[count++] = vector_of(parts->text.data + at, tensor->at - at);
        vectors[count++] = vector_of(tensor->data.data, tensor->data.size);
        at = tensor->at;
    }
    if (count == VECTORS) {
        http_body(exchange, vectors, count);
        count = 0;
    }
    if (parts->text.size > at)
        vectors[count++] = vector_of(parts->text.data + at, parts->text.size - at);
    if (count)
        http_body(exchange, vectors, count);
}

bool answer_flow_send(struct answer_flow *flow, struct http_exchange *exchange)
{
    assert(!answer_flow_sending(flow));
    if (!answer_flow_waits(flow))
        return false;
    struct answer_parts next = flow->next;
    flow->next = flow->sent;
    flow->sent = next;
    write_parts(&flow->sent, exchange);
    return true;
}

void answer_flow_drained(struct answer_flow *flow)
{
    struct answer_parts *sent = &flow->sent;
    if (!answer_flow_sending(flow))
        return;
    uint32_t answers = sent->answers;
    sent->answers = 0;
    sent->tensor_count = 0;
    if (sent->text.capacity > KEPT_BYTES)
        buf_fini(&sent->text);
    else
        buf_clear(&sent->text);
    inference_more(flow->inference, answers);
}
