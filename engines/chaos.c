/* An engine that misbehaves, for tests; never installed.
 *
 * A model is a file that ends in .chaos, INT32 in and out unless its config declares otherwise. The
 * request's parameters say what happens, in this order; without any it answers as identity does:
 *
 *   - say=N: writes that number to the log;
 *   - log=N: writes N lines to the log;
 *   - leak=BYTES: takes memory, touches it and forgets it;
 *   - touch=BYTES: writes into so much tensor memory that it was not given; touch_later=BYTES: some
 *     time after it has answered;
 *   - wait_ms=N: waits, or until it is cancelled;
 *   - die=HOW: segfault, abort, exit, spin, hang, close_fds, jam;
 *   - forge=HOW: writes into its own channel: see forge();
 *   - fail=SENTENCE: fails; status=NUMBER is the tensord_status;
 *   - call=MODEL: sends its inputs to that model and answers with what comes back;
 *   - huge=BYTES: makes an output of this size;
 *   - stream=N: answers N times before the final answer.
 *
 * The config's parameters say how the load goes: load=fail, crash, hang or slow (with progress);
 * batching=yes, no or unknown; concurrency=N; mix=1: every output is the mean of its batch, so that
 * joining requests would be wrong; excess=1: every BYTES output has an element more than its shape
 * says. */
#include "tensord/engine.h"
#include "worker/channel_layout.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 1024, PAGE_BYTES = 4096 };

static const struct tensord_tensor_info default_input = {
    .name = "INPUT0", .datatype = TENSORD_INT32, .ndim = 2, .shape = {-1, -1}};
static const struct tensord_tensor_info default_output = {
    .name = "OUTPUT0", .datatype = TENSORD_INT32, .ndim = 2, .shape = {-1, -1}};

static const struct tensord_host *host;
static bool mixes, exceeds;
static char input_name[256]; /* of the first; models that are called have it, too */

static const char *parameter(const struct tensord_parameter *parameters, size_t count,
                             const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parameters[i].key, key) == 0)
            return parameters[i].value;
    }
    return NULL;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- dying ---- */

static void close_descriptors(void)
{
    for (int fd = 3; fd < MAX_FDS; fd++)
        close(fd);
}

/* Whether fd is the writing end of a pipe, such as the front's doorbell. */
static bool is_doorbell(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) == O_WRONLY && fstat(fd, &status) == 0 &&
           S_ISFIFO(status.st_mode);
}

/* Fills the front's doorbell, as if the front could be made to wait. */
static void jam(void)
{
    char zeros[4096] = {0};
    for (int fd = 3; fd < MAX_FDS; fd++) {
        if (!is_doorbell(fd))
            continue;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        while (write(fd, zeros, sizeof zeros) > 0)
            ;
    }
}

static void die(const char *how)
{
    volatile int *volatile nowhere = NULL; /* both volatile, or the store is dropped */
    if (strcmp(how, "segfault") == 0)
        /* -Wanalyzer-null-dereference NOLINTNEXTLINE(clang-analyzer-core.NullDereference): meant */
        *nowhere = 1;
    else if (strcmp(how, "abort") == 0)
        abort();
    else if (strcmp(how, "exit") == 0)
        syscall(SYS_exit_group, 3); /* not _exit: a sanitizer has its last words there */
    else if (strcmp(how, "close_fds") == 0)
        close_descriptors();
    else if (strcmp(how, "jam") == 0)
        jam();
    else if (strcmp(how, "spin") == 0)
        for (volatile int forever = 1; forever;)
            ;
    else if (strcmp(how, "hang") == 0)
        for (;;)
            pause();
}

/* ---- forging ---- */

/* Some of the shared memory of that name, found among the process's own descriptors: `size` bytes
 * from the start, or up to the end. */
static void *find_shared(const char *name, size_t size, bool from_end)
{
    for (int fd = 3; fd < MAX_FDS; fd++) {
        char link[64], target[64];
        struct stat status;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length <= 7 || strncmp(target + 7, name, strlen(name)) != 0 || fstat(fd, &status) < 0)
            continue;
        off_t offset = from_end ? status.st_size - (off_t)size : 0;
        void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
        return map == MAP_FAILED ? NULL : map;
    }
    return NULL;
}

static struct channel_shared *find_rings(void)
{
    return find_shared("rings", CHANNEL_RINGS_SIZE, false);
}

static void put_record(struct channel_shared *rings, const void *record, uint32_t size)
{
    uint64_t head = __atomic_load_n(&rings->to_front.head, __ATOMIC_RELAXED);
    char *data = (char *)rings + CHANNEL_TO_FRONT_OFFSET;
    if (head % RING_BYTES + size > RING_BYTES)
        return;
    memcpy(data + head % RING_BYTES, record, size);
    __atomic_store_n(&rings->to_front.head, head + size, __ATOMIC_RELEASE);
}

static void ring_doorbells(void)
{
    for (int fd = 3; fd < MAX_FDS; fd++) {
        ssize_t written = is_doorbell(fd) ? write(fd, "", 1) : 0;
        (void)written;
    }
}

static void forge_positions(struct channel_shared *rings, const char *how)
{
    if (strcmp(how, "backwards") == 0)
        __atomic_store_n(&rings->to_front.head, 0, __ATOMIC_RELEASE);
    else if (strcmp(how, "beyond") == 0)
        __atomic_store_n(&rings->to_front.head, UINT64_C(1) << 62, __ATOMIC_RELEASE);
    else if (strcmp(how, "tail") == 0)
        __atomic_store_n(&rings->to_worker.tail, UINT64_C(1) << 62, __ATOMIC_RELEASE);
}

/* HOW: slot (a response to no request), offset (an output outside the memory), executed (the end of
 * no execution), giant (a record larger than the ring), type (an unknown one), backwards, beyond,
 * tail (positions that cannot be). Rings, and goes on until its end. */
static void forge(const struct tensord_execution *execution, const char *how)
{
    struct channel_shared *rings = find_rings();
    if (!rings)
        return;
    struct {
        struct record_head head;
        struct record_response response;
        uint64_t no_message;
        struct record_tensor output;
        int64_t dims[2];
    } record = {{sizeof record, RECORD_RESPONSE},
                {.request = UINT64_C(1) << 32, .final = 1, .output_count = 1},
                0,
                {.datatype = TENSORD_INT32, .ndim = 2, .offset = UINT64_MAX - 63, .size_bytes = 64},
                {4, 4}};
    if (strcmp(how, "slot") == 0)
        record.response.request = UINT64_MAX;
    else if (strcmp(how, "giant") == 0)
        record.head.size = UINT32_MAX;
    else if (strcmp(how, "type") == 0)
        record.head.type = 12345;
    else if (strcmp(how, "executed") == 0)
        record.head.type = RECORD_EXECUTED;
    /* Again and again, since the host publishes its own position now and then. */
    for (; !host->cancelled(execution); sleep_ms(1)) {
        put_record(rings, &record, sizeof record);
        forge_positions(rings, how);
        ring_doorbells();
    }
    munmap(rings, CHANNEL_RINGS_SIZE);
}

/* ---- taking what was not given ---- */

static void touch(size_t size)
{
    char *memory = size ? find_shared("tensors", size, true) : NULL;
    if (memory)
        memset(memory, 1, size);
}

static void *touch_after_a_while(void *size)
{
    sleep_ms(300);
    touch((size_t)size);
    return NULL;
}

static void touch_later(size_t size)
{
    pthread_t thread;
    if (size && pthread_create(&thread, NULL, touch_after_a_while, (void *)size) == 0)
        pthread_detach(thread);
}

/* ---- answering ---- */

static void wait_ms(const struct tensord_execution *execution, long ms)
{
    for (; ms > 0 && !host->cancelled(execution); ms--)
        sleep_ms(1);
}

/* Outputs equal to the inputs; or the mean of each INT32 input over all its elements. */
static bool make_outputs(struct tensord_execution *execution)
{
    for (size_t i = 0; i < execution->input_count; i++) {
        const struct tensord_tensor *input = &execution->inputs[i];
        size_t excess = exceeds && input->datatype == TENSORD_BYTES ? sizeof(uint32_t) : 0;
        int64_t sum = 0;
        int32_t *output = host->output(execution, input->index, input->datatype, input->shape,
                                       input->ndim, input->size_bytes + excess);
        if (!output)
            return false;
        memcpy(output, input->data, input->size_bytes);
        memset((char *)output + input->size_bytes, 0, excess);
        size_t count = mixes && input->datatype == TENSORD_INT32 ? input->size_bytes / 4 : 0;
        for (size_t j = 0; j < count; j++)
            sum += output[j];
        for (size_t j = 0; j < count; j++)
            output[j] = (int32_t)(sum * 1000 / (int64_t)count);
    }
    return true;
}

static bool call_other(struct tensord_execution *execution, const char *model)
{
    const char *name = input_name, *ret_name;
    struct tensord_tensor output = {0};
    struct tensord_call call = {.model = model,
                                .version = -1,
                                .inputs = execution->inputs,
                                .input_names = &name,
                                .input_count = 1,
                                .ret_outputs = &output,
                                .ret_output_names = &ret_name,
                                .output_capacity = 1};
    if (!host->call(execution, &call)) {
        host->reason(TENSORD_UNAVAILABLE, "%s", call.error);
        return false;
    }
    void *copy =
        host->output(execution, 0, output.datatype, output.shape, output.ndim, output.size_bytes);
    if (copy)
        memcpy(copy, output.data, output.size_bytes);
    return copy != NULL;
}

static bool make_huge(struct tensord_execution *execution, long long size)
{
    const int64_t shape[] = {size / 4, 1};
    int32_t *data = host->output(execution, 0, TENSORD_INT32, shape, 2, 0);
    if (data && size >= 4)
        data[size / 4 - 1] = 1;
    return data != NULL;
}

static const char *asked(const struct tensord_execution *execution, const char *key)
{
    return parameter(execution->parameters, execution->parameter_count, key);
}

static long number(const struct tensord_execution *execution, const char *key)
{
    const char *value = asked(execution, key);
    return value ? strtol(value, NULL, 10) : 0;
}

/* volatile, or the memory is not touched and not even taken. */
static void leak(size_t size)
{
    volatile char *memory = size ? malloc(size) : NULL;
    for (size_t i = 0; memory && i < size; i += PAGE_BYTES)
        memory[i] = 1;
} /* NOLINT(clang-analyzer-unix.Malloc): meant */

static void misbehave(const struct tensord_execution *execution)
{
    if (asked(execution, "say"))
        host->log(TENSORD_LOG_INFO, "says %ld", number(execution, "say"));
    for (long i = 0; i < number(execution, "log"); i++)
        host->log(TENSORD_LOG_INFO, "line %ld of many", i);
    leak((size_t)number(execution, "leak"));
    touch((size_t)number(execution, "touch"));
    touch_later((size_t)number(execution, "touch_later"));
    wait_ms(execution, number(execution, "wait_ms"));
    if (asked(execution, "die"))
        die(asked(execution, "die"));
    if (asked(execution, "forge"))
        forge(execution, asked(execution, "forge"));
}

static bool answer_stream(struct tensord_execution *execution, long count)
{
    for (long i = 0; i < count; i++) {
        if (!make_outputs(execution))
            return false;
        if (!host->respond(execution, false))
            break;
    }
    return true;
}

static void execute(void *model, struct tensord_execution *execution)
{
    misbehave(execution);
    const char *sentence = asked(execution, "fail");
    if (sentence) {
        long status = number(execution, "status");
        host->fail(execution, host->reason(status ? (enum tensord_status)status : TENSORD_INTERNAL,
                                           "%s", sentence));
        return;
    }
    bool made;
    if (asked(execution, "call"))
        made = call_other(execution, asked(execution, "call"));
    else if (asked(execution, "huge"))
        made = make_huge(execution, strtoll(asked(execution, "huge"), NULL, 10));
    else
        made = answer_stream(execution, number(execution, "stream")) && make_outputs(execution);
    if (made)
        host->respond(execution, true);
    else
        host->fail(execution, TENSORD_UNAVAILABLE);
}

/* ---- loading ---- */

static int match(const struct tensord_source *source)
{
    const char *suffix = strrchr(source->path, '.');
    return suffix && strcmp(suffix, ".chaos") == 0 ? 100 : 0;
}

static enum tensord_status misbehave_at_load(const char *how)
{
    if (strcmp(how, "fail") == 0)
        return host->reason(TENSORD_INVALID_ARGUMENT, "it was asked to fail");
    if (strcmp(how, "crash") == 0)
        die("segfault");
    if (strcmp(how, "hang") == 0)
        die("hang");
    for (int i = 0; strcmp(how, "slow") == 0 && i <= 10; i++) {
        host->progress(i / 10.0);
        sleep_ms(20);
    }
    return TENSORD_OK;
}

static const char *configured(const struct tensord_source *source, const char *key)
{
    const char *value = parameter(source->parameters, source->parameter_count, key);
    return value ? value : "";
}

static enum tensord_status load(const struct tensord_host *the_host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model)
{
    host = the_host;
    mixes = strcmp(configured(source, "mix"), "1") == 0;
    exceeds = strcmp(configured(source, "excess"), "1") == 0;
    enum tensord_status status = misbehave_at_load(configured(source, "load"));
    if (status != TENSORD_OK)
        return status;
    const char *batching = configured(source, "batching");
    size_t count = source->input_count ? source->input_count : 1;
    ret_description->platform = "chaos";
    ret_description->inputs = source->input_count ? source->inputs : &default_input;
    ret_description->outputs = source->input_count ? source->outputs : &default_output;
    ret_description->input_count = ret_description->output_count = count;
    snprintf(input_name, sizeof input_name, "%s", ret_description->inputs[0].name);
    ret_description->concurrency = (uint32_t)strtoul(configured(source, "concurrency"), NULL, 10);
    ret_description->batching = strcmp(batching, "yes") == 0  ? TENSORD_BATCHING_YES
                                : strcmp(batching, "no") == 0 ? TENSORD_BATCHING_NO
                                                              : TENSORD_BATCHING_UNKNOWN;
    *ret_model = NULL;
    return TENSORD_OK;
}

static const struct tensord_engine engine = {
    .abi = TENSORD_ENGINE_ABI,
    .size = sizeof(engine),
    .name = "chaos",
    .match = match,
    .load = load,
    .execute = execute,
};

const struct tensord_engine *tensord_engine(void)
{
    return &engine;
}
