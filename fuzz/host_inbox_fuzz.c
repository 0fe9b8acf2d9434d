/* The worker's end of a channel: records, one after the other, as a front would send them, to a
 * host with an inline engine. Nothing but the tensor memory may be touched, and in the end the host
 * stops. */
#include "worker/host_private.h"
#include "worker/memory_use.h"

#include "failing_allocation.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TENSORS_BYTES = 16384, INPUT_BYTES = 32768, CALL_OUTPUTS = 2 };

static const struct tensord_host *host;
static int rings_fd = -1, tensors_fd = -1;
static struct channel_shared *rings;
static char too_long[RING_RECORD_MAX + 1]; /* a name for any record */

/* ---- the engine: does what the request's first parameter says ---- */

static const struct tensord_tensor_info inputs[] = {
    {.name = "x", .datatype = TENSORD_INT32, .ndim = 1, .shape = {-1}},
    {.name = "y", .datatype = TENSORD_BYTES, .ndim = 1, .shape = {-1}, .optional = true},
};
static const struct tensord_tensor_info outputs[] = {
    {.name = "z", .datatype = TENSORD_INT32, .ndim = 1, .shape = {-1}},
};

static enum tensord_status load(const struct tensord_host *the_host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model)
{
    host = the_host;
    ret_description->platform = "fuzz";
    ret_description->inputs = inputs;
    ret_description->input_count = sizeof inputs / sizeof *inputs;
    ret_description->outputs = outputs;
    ret_description->output_count = 1;
    ret_description->batching = TENSORD_BATCHING_YES;
    ret_description->streams = true;
    *ret_model = NULL;
    return TENSORD_OK;
}

/* Looks at every byte: outside of the memory that is a crash. */
static void look(const struct tensord_tensor *tensor)
{
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < tensor->size_bytes; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)tensor->data)[i]);
}

static void call(struct tensord_execution *execution, const char *model)
{
    struct tensord_tensor call_outputs[CALL_OUTPUTS] = {0};
    const char *names[CALL_OUTPUTS] = {0}, *const input_names[] = {"x"};
    struct tensord_call call = {.model = model,
                                .version = -1,
                                .inputs = execution->inputs,
                                .input_names = input_names,
                                .input_count = execution->input_count > 0,
                                .ret_outputs = call_outputs,
                                .ret_output_names = names,
                                .output_capacity = CALL_OUTPUTS};
    if (!host->call(execution, &call))
        return;
    assert(call.ret_output_count <= CALL_OUTPUTS);
    for (size_t i = 0; i < call.ret_output_count; i++) {
        assert(strlen(names[i]) < INPUT_BYTES);
        look(&call_outputs[i]);
    }
}

static bool make_output(struct tensord_execution *execution, int64_t rows)
{
    int32_t *data = host->output(execution, 0, TENSORD_INT32, &rows, 1, 0);
    if (data && rows)
        memset(data, 1, (size_t)rows * sizeof *data);
    return data != NULL;
}

static void execute(void *model, struct tensord_execution *execution)
{
    char what = execution->parameter_count ? execution->parameters[0].key[0] : '\0';
    int64_t rows = execution->input_count ? execution->inputs[0].shape[0] : 1;
    for (size_t i = 0; i < execution->input_count; i++)
        look(&execution->inputs[i]);
    for (size_t i = 0; i < execution->parameter_count; i++)
        assert(strlen(execution->parameters[i].value) < INPUT_BYTES);
    if (what == 'c')
        call(execution, "other");
    if (what == 'm')
        call(execution, too_long);
    if (what == 'l')
        host->log(TENSORD_LOG_INFO, "rows: %lld", (long long)rows);
    if (what == 'n')
        rows = TENSORS_BYTES / 16;
    bool good = what != 'f' && rows >= 0 && rows <= TENSORS_BYTES;
    if (good && what == 's' && make_output(execution, rows))
        host->respond(execution, false);
    if (!good || !make_output(execution, rows))
        host->fail(execution, TENSORD_INTERNAL);
    else
        host->respond(execution, true);
}

static void cancel(void *model, struct tensord_execution *execution)
{
}

static const struct tensord_engine engine = {
    .abi = TENSORD_ENGINE_ABI,
    .size = sizeof engine,
    .name = "fuzz",
    .flags = TENSORD_ENGINE_INLINE,
    .load = load,
    .execute = execute,
    .cancel = cancel,
};

/* Takes the place of the worker's own: with a sanitizer's mappings a look at the process's memory
 * takes the kernel more time than all else here. */
bool memory_use_look(struct memory_use *ret_use)
{
    *ret_use = (struct memory_use){1, 1};
    return true;
}

/* ---- the front ---- */

static void make_memory(void)
{
    memset(too_long, 'm', sizeof too_long - 1);
    rings_fd = memfd_create("rings", MFD_CLOEXEC);
    tensors_fd = memfd_create("tensors", MFD_CLOEXEC);
    assert(rings_fd >= 0 && tensors_fd >= 0);
    assert(ftruncate(rings_fd, CHANNEL_RINGS_SIZE) == 0);
    assert(ftruncate(tensors_fd, TENSORS_BYTES) == 0);
    rings = mmap(NULL, CHANNEL_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, rings_fd, 0);
    assert(rings != MAP_FAILED);
}

/* Writes the records of the input, each as long as its head says or as there is input. */
static void write_records(const uint8_t *data, size_t size)
{
    _Alignas(8) static unsigned char record[INPUT_BYTES];
    struct ring ring;
    struct record_head head;
    ring_init(&ring, &rings->to_worker, (char *)rings + CHANNEL_TO_WORKER_OFFSET);
    while (size >= sizeof head) {
        memcpy(&head, data, sizeof head);
        if (head.size < sizeof head || head.size > size)
            head.size = (uint32_t)size;
        memcpy(record, data, head.size);
        memcpy(record, &head, sizeof head);
        assert(ring_write(&ring, record) == RING_RECORD);
        data += head.size;
        size -= head.size;
    }
}

static int run(const uint8_t *data, size_t size)
{
    const struct worker_spec spec = {
        .name = SPAN("fuzz"), .path = SPAN("/none"), .version = 1, .max_batch_size = -1};
    int to_worker[2], to_front[2];
    *rings = (struct channel_shared){.magic = CHANNEL_MAGIC, .version = CHANNEL_VERSION};
    write_records(data, size);
    bool piped = pipe(to_worker) == 0 && pipe(to_front) == 0;
    assert(piped);
    close(to_worker[1]); /* so the host finds the front gone once it has read all */
    struct channel_fds fds = {dup(rings_fd), dup(tensors_fd), to_worker[0], to_front[1]};
    assert(fds.rings >= 0 && fds.tensors >= 0);
    int status = host_run_engine(&spec, fds, &engine, NULL);
    close(to_front[0]);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES)
        return 0;
    if (rings_fd < 0)
        make_memory();
    int status = run(data, size);
    assert(status == 0);
    failing_allocation_begin(data, size);
    run(data, size);
    failing_allocation_end();
    return 0;
}
