/* What a hostile worker says: records, one after the other, to a front that has two requests with
 * it. Whatever the front's owner is told must lie within the request's own memory. */
#include "base/clock.h"
#include "worker/channel_inbox.h"
#include "worker/record.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdlib.h>

enum { GRANT_OFFSET = 4096, GRANT_SIZE = 4096, INPUT_OFFSET = 65536, INPUT_SIZE = 64 };

static void on_loading(void *owner, double done)
{
    assert(done >= 0 && done <= 1);
}

static void on_ready(void *owner, const struct schema *schema)
{
    assert(schema->concurrency > 0);
    schema_free(schema_copy(schema)); /* reads all of it */
}

static void on_failed(void *owner, const struct error *error)
{
    assert(error->code != ERROR_OK);
}

static void on_response(void *owner, struct channel_request *request,
                        const struct channel_response *response)
{
    for (size_t i = 0; i < response->output_count; i++) {
        struct extent extent = response->outputs[i].extent;
        if (extent.size == 0)
            continue;
        uint64_t end = extent.offset + extent.size;
        assert((extent.offset >= GRANT_OFFSET && end <= GRANT_OFFSET + GRANT_SIZE) ||
               (extent.offset >= INPUT_OFFSET && end <= INPUT_OFFSET + INPUT_SIZE));
    }
}

static void on_executed(void *owner, uint64_t execution, uint64_t compute_ns)
{
    assert(execution == 7);
}

static bool on_need_room(void *owner, struct channel_request *request, uint64_t size,
                         struct extent *ret_extent, struct error *ret_error)
{
    if (size > GRANT_SIZE)
        return error_set(ret_error, ERROR_TOO_LARGE, "too large");
    *ret_extent = (struct extent){GRANT_OFFSET, size};
    return true;
}

static void on_call(void *owner, const struct channel_call *call)
{
    assert(call->parent && call->input_count <= TENSORD_MAX_DIMS);
}

static void on_log(void *owner, enum tensord_log_level level, struct span line)
{
    assert(level <= TENSORD_LOG_ERROR && line.data[line.size] == '\0');
}

static void on_stats(void *owner, const struct channel_stats *stats)
{
}

static bool on_released(void *owner, uint64_t id)
{
    return id % 2 == 0;
}

static void on_broken(void *owner, const char *reason)
{
    abort(); /* the inbox only says so to its channel */
}

static const struct channel_events events = {on_loading,  on_ready,     on_failed, on_response,
                                             on_executed, on_need_room, on_call,   on_log,
                                             on_released, on_stats,     on_broken};

static void on_grant(struct channel_inbox *inbox, uint64_t request, struct extent extent,
                     const struct error *error)
{
}

/* Copies the next record (its head's size, cut to what is left) to aligned memory of its own size,
 * so that a read beyond it is seen. */
static unsigned char *next_record(const uint8_t **data, size_t *size)
{
    struct record_head head;
    if (*size < sizeof head)
        return NULL;
    memcpy(&head, *data, sizeof head);
    if (head.size < sizeof head || head.size > *size)
        head.size = (uint32_t)*size;
    void *record;
    int failure = posix_memalign(&record, 8, head.size); /* malloc may be about to fail */
    assert(failure == 0);
    memcpy(record, *data, head.size);
    memcpy(record, &head, sizeof head);
    *data += head.size;
    *size -= head.size;
    return record;
}

/* Two requests are with the worker, and then what it says comes. */
static void take_records(const uint8_t *data, size_t size, bool fails)
{
    struct channel_tensor input = {.extent = {INPUT_OFFSET, INPUT_SIZE}};
    struct channel_request request = {.inputs = &input,
                                      .input_count = 1,
                                      .grant = {GRANT_OFFSET, GRANT_SIZE},
                                      .credits = 2},
                           second = request;
    struct channel_request *requests[] = {&request, &second};
    struct channel_table table;
    struct channel_inbox inbox;
    struct execution_entry *execution;
    const char *broken = NULL;
    unsigned char *record;
    channel_table_init(&table);
    channel_inbox_init(&inbox, &events, NULL, &table);
    inbox.grant = on_grant;
    if (fails)
        failing_allocation_begin(data, size);
    bool added = channel_table_add(&table, 7, requests, 2, &execution);
    assert(added || fails);
    while (!broken && (record = next_record(&data, &size))) {
        inbox.now_ns += CLOCK_NS_PER_MS;
        broken = channel_inbox_take(&inbox, record);
        free(record);
    }
    failing_allocation_end();
    channel_inbox_fini(&inbox);
    channel_table_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_records(data, size, false);
    take_records(data, size, true);
    return 0;
}
