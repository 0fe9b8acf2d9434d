/* The file of learned figures: what is read can be written and reads back the same; whatever the
 * figures are, a learner that is told them chooses a point that its model allows; and beside them
 * figures of models are kept, recalled and forgotten. The first byte says with bit 0 that the sum
 * is right, which is computed here so that the fuzzer gets past it, and with bit 1 that more is
 * kept than the table holds. */
#include "schedule/learned.h"

#include "failing_allocation.h"

#include <assert.h>

enum { SUM_BYTES = 8, RIGHT_SUM = 1, OVERFULL = 2 };

static const struct learned_subject subject = {
    .model = {"m", 1}, .version = 1, .fingerprint = 2, .processors = 4, .threads = 1};

static uint64_t sum_of(const char *bytes, size_t size)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void check_learner(const struct learned_entry *entry)
{
    struct learner learner;
    learner_init(&learner, 64, 4, false);
    learner_restore(&learner, entry->points, entry->count);
    assert(learner.rows >= 1 && learner.rows <= 64 && learner.slots >= 1 && learner.slots <= 4);
    learner_observe(&learner, 3, 1.5, 1000, true);
    assert(learner_wait_ns(&learner, 100) <= UINT64_C(1000000000000000000));
}

/* What is kept of a model is recalled. When there is nothing to keep, the file itself may still
 * have something of it. */
static void check_kept(struct learned *learned, struct learned_entry entry)
{
    struct learner_point points[LEARNER_POINTS], again[LEARNER_POINTS];
    struct residency_figures figures = {.load_ns = 0};
    struct learner kept, told;
    learner_init(&kept, 64, 4, false);
    learner_init(&told, 64, 4, false);
    learner_restore(&kept, entry.points, entry.count);
    size_t count = learner_save(&kept, points);
    learned_keep(learned, &subject, &kept);
    bool recalled = learned_recall(learned, &subject, &told);
    if (count > 0) {
        assert(recalled && learner_save(&told, again) == count);
        assert(memcmp(points, again, count * sizeof *points) == 0);
    }
    learned_keep_memory(learned, &subject, &entry.memory);
    recalled = learned_recall_memory(learned, &subject, &figures);
    if (entry.memory.loading.bytes > 0)
        assert(recalled && memcmp(&figures, &entry.memory, sizeof figures) == 0);
}

/* A full table forgets what was used longest ago, what the file says first of all. */
static void check_overfull(struct learned *learned)
{
    struct residency_figures figures = {.load_ns = 0};
    struct learned_subject other = subject;
    for (other.version = 0; other.version <= LEARNED_MAX; other.version++) {
        figures.loading.bytes = 1 + other.version;
        learned_keep_memory(learned, &other, &figures);
    }
    assert(learned->count == LEARNED_MAX);
    other.version = 1; /* the oldest that there was room for */
    assert(learned_recall_memory(learned, &other, &figures));
    assert(figures.loading.bytes == 1 + other.version);
    other.version = 0;
    assert(!learned_recall_memory(learned, &other, &figures));
}

static void check_written(const struct learned *learned)
{
    struct learned again = {0};
    struct buf buf, more;
    buf_init(&buf, LEARNED_FILE_BYTES);
    buf_init(&more, LEARNED_FILE_BYTES);
    learned_write(learned, &buf);
    assert(buf_ok(&buf) && learned_read(&again, buf_span(&buf), NULL));
    learned_write(&again, &more);
    assert(span_equal(buf_span(&buf), buf_span(&more)));
    learned_fini(&again);
    buf_fini(&buf);
    buf_fini(&more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[LEARNED_FILE_BYTES];
    struct learned learned = {0};
    struct error error = {0};
    if (size == 0 || size > sizeof bytes - SUM_BYTES)
        return 0;
    memcpy(bytes, data + 1, --size);
    uint64_t sum = sum_of(bytes, size);
    if (data[0] & RIGHT_SUM) {
        for (size_t i = 0; i < SUM_BYTES; i++)
            bytes[size++] = (char)(unsigned char)(sum >> (8 * i));
    }
    failing_allocation_begin((const uint8_t *)"", 0);
    learned_read(&learned, (struct span){bytes, size}, &error);
    failing_allocation_end();
    learned_fini(&learned);
    if (!learned_read(&learned, (struct span){bytes, size}, &error)) {
        assert(error.code != ERROR_OK && error.message[0] && learned.count == 0);
        return 0;
    }
    for (size_t i = 0; i < learned.count; i++)
        check_learner(&learned.entries[i]);
    check_kept(&learned, learned.count ? learned.entries[0] : (struct learned_entry){.key = 0});
    if (data[0] & OVERFULL)
        check_overfull(&learned);
    check_written(&learned);
    learned_fini(&learned);
    return 0;
}
