/* Answering POST …/infer and its kin; see infer_call.h.
 *
 * A stream is server-sent events, "data: JSON" and an empty line, unless tensors are wanted as
 * binary: then each answer is the length of its JSON, four bytes, little-endian, the JSON, which
 * says how long the tensors are, and the tensors. What goes wrong before the first answer has a
 * status of its own; later it is an answer {"error":"…"}, and the last. */
#include "api/classify.h"
#include "api/infer_call.h"
#include "api/infer_reply.h"
#include "api/load_report.h"
#include "api/trace.h"
#include "base/unset.h"

static const struct http_field event_fields[] = {
    {SPAN("content-type"), SPAN("text/event-stream; charset=utf-8")},
    {SPAN("cache-control"), SPAN("no-store")}};
static const struct http_field binary_fields[] = {
    {SPAN("content-type"), SPAN("application/vnd.tensord.answers")},
    {SPAN("cache-control"), SPAN("no-store")}};

/* ---- one answer ---- */

static void reply_once(struct api_call *call, struct inference_outputs *outputs)
{
    struct infer_call *infer = infer_of(call);
    struct error error UNSET;
    infer->sends_tensors = infer_reply_is_binary(&infer->request, outputs);
    infer->told = true;
    if (classify_outputs(call, &infer->inference, outputs, &error) &&
        infer_reply(call, outputs, &error))
        return;
    infer->sends_tensors = false;
    infer_refuse(call, &error);
}

static void end(struct api_call *call);

/* The outputs that go to shared memory are there, or could not be written. */
static void written(struct infer_regions *regions, const struct error *error)
{
    struct api_call *call = regions->call;
    struct infer_call *infer = infer_of(call);
    if (!infer->client_gone && error->code != ERROR_OK)
        infer_refuse(call, error);
    else if (!infer->client_gone)
        reply_once(call, &infer->outputs);
    end(call);
}

static void tell_once(struct api_call *call, const struct inference_answer *answer)
{
    struct infer_call *infer = infer_of(call);
    struct error error UNSET;
    switch (only_answer_take(&infer->only, &infer->inference, answer, &infer->outputs, &error)) {
    case ONLY_ANSWER_WAITS:
        break;
    case ONLY_ANSWER_GIVEN:
        if (infer->regions.has_outputs)
            infer_regions_write(&infer->regions, &infer->outputs, written);
        else
            reply_once(call, &infer->outputs);
        break;
    case ONLY_ANSWER_FAILED:
        infer_refuse(call, &error);
        break;
    }
}

/* ---- several ---- */

/* Sends what waits, and ends the response behind the last. */
static void flush(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    if (answer_flow_sending(&infer->flow))
        return;
    answer_flow_send(&infer->flow, call->exchange);
    if (infer->told)
        http_end(call->exchange, NULL, 0);
}

static void start(struct api_call *call)
{
    if (call->exchange->responded)
        return;
    load_report_tell(call);
    http_reply(call->exchange, 200,
               infer_json_wants_binary(&infer_of(call)->request) ? binary_fields : event_fields, 2);
}

/* The frame around the JSON of an answer: *ret_at is what end_part needs to know. */
static void begin_part(const struct infer_call *infer, struct buf *text, size_t *ret_at)
{
    static const char length[sizeof(uint32_t)];
    *ret_at = text->size;
    buf_append(text, infer_json_wants_binary(&infer->request) ? (struct span){length, sizeof length}
                                                              : SPAN("data: "));
}

static bool end_part(const struct infer_call *infer, struct buf *text, size_t at)
{
    if (!infer_json_wants_binary(&infer->request))
        return buf_append(text, SPAN("\n\n"));
    if (!buf_ok(text) || text->size - at - sizeof(uint32_t) > UINT32_MAX)
        return false;
    uint32_t length = (uint32_t)(text->size - at - sizeof length);
    memcpy(text->data + at, &length, sizeof length);
    return true;
}

static bool put_tensors(struct infer_call *infer, const struct inference_outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        if (!infer_json_output_is_binary(&infer->request, i))
            continue;
        if (classify_wants(&infer->inference,
                           &outputs->items[i])) { /* the next answer's overwrite them */
            if (!buf_append(answer_flow_text(&infer->flow), outputs->items[i].data))
                return false;
            continue;
        }
        if (!answer_flow_tensor(&infer->flow, outputs->items[i].data))
            return false;
        infer->sends_tensors = true;
    }
    return true;
}

/* Appends an answer, all of it or nothing. */
static bool put_answer(struct api_call *call, const struct inference_answer *answer,
                       struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    struct buf *text = answer_flow_text(&infer->flow);
    struct json_writer json;
    size_t tensor_count = infer->flow.next.tensor_count, at;
    begin_part(infer, text, &at);
    json_writer_init(&json, text);
    struct inference_outputs outputs = answer->outputs;
    bool written = classify_outputs(call, &infer->inference, &outputs, ret_error) &&
                   infer->form->write(&json, call, &outputs, ret_error);
    if (written && end_part(infer, text, at) && put_tensors(infer, &outputs)) {
        if (!answer->final)
            answer_flow_owe(&infer->flow);
        return true;
    }
    if (written)
        message_no_memory(text, ret_error);
    answer_flow_cut(&infer->flow, at, tensor_count);
    return false;
}

/* Ends the response with an error: with its status, if none was sent yet. */
static void fail(struct api_call *call, const struct error *error)
{
    struct infer_call *infer = infer_of(call);
    struct buf *text = answer_flow_text(&infer->flow);
    struct json_writer json;
    size_t at;
    if (!call->exchange->responded) {
        infer_refuse(call, error);
        return;
    }
    infer->told = true;
    http_note_failure(call->exchange, span_of(error->message));
    begin_part(infer, text, &at);
    json_writer_init(&json, text);
    json_put_object(&json);
    json_put_key(&json, SPAN("error"));
    if (!json_put_string(&json, span_of(error->message))) /* it quotes bytes that are no text */
        json_put_string(&json, span_of(error_text(error->code)));
    json_put_object_end(&json);
    if (!end_part(infer, text, at)) {
        http_reset(call->exchange); /* an end like any other would be a lie */
        return;
    }
    flush(call);
}

static void tell_more(struct api_call *call, const struct inference_answer *answer)
{
    struct infer_call *infer = infer_of(call);
    struct error error UNSET;
    if (answer->error.code != ERROR_OK) {
        fail(call, &answer->error);
        return;
    }
    if (!inference_answer_is_end(&infer->inference, answer) && !put_answer(call, answer, &error)) {
        fail(call, &error);
        return;
    }
    infer->told = answer->final;
    start(call);
    flush(call);
}

void infer_answer_drained(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(call);
    if (!infer->streams || exchange->ended)
        return;
    answer_flow_drained(&infer->flow);
    flush(call);
}

/* ---- both ---- */

/* What the answer does not need goes before it is sent, which takes as long as the client likes. */
static void forget_request(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    buf_fini(&call->body);
    predict_json_fini(&infer->predict);
    if (!infer->sends_tensors)
        inference_forget_tensors(&infer->inference);
}

/* The inference has had its final answer, and nothing moves its outputs any more. */
static void end(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    struct http_exchange *exchange = call->exchange;
    infer_regions_release(&infer->regions);
    if (infer->client_gone) /* nothing reads the outputs any more */
        inference_fini(&infer->inference);
    else
        forget_request(call);
    http_unref(exchange);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct api_call *call = inference->owner;
    struct infer_call *infer = infer_of(call);
    if (!infer->told && infer->streams)
        tell_more(call, answer);
    else if (!infer->told)
        tell_once(call, answer);
    if (!answer->final) {
        if (infer->told)
            inference_cancel(inference);
        return;
    }
    if (!infer_regions_moving(&infer->regions))
        end(call);
}

void infer_answer_begin(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    struct inference *inference = &infer->inference;
    infer->step = INFER_SUBMITTED;
    inference->answered = answered;
    trace_inference(call, inference);
    http_ref(call->exchange); /* until the final answer */
    inference_submit(inference);
}

void infer_answer_closed(struct http_exchange *exchange, bool complete)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(call);
    struct inference *inference = &infer->inference;
    infer->client_gone = infer->told = true;
    answer_flow_fini(&infer->flow);
    predict_json_fini(&infer->predict);
    inference_disconnect(inference);
    if (inference->state == INFERENCE_QUEUED || inference->state == INFERENCE_RUNNING)
        inference_cancel(inference);
    else if (!infer_regions_moving(&infer->regions))
        inference_fini(inference);
    infer_regions_release(&infer->regions);
    call_close(call);
}
