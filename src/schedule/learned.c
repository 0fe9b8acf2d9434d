/* Figures that outlive the server; see learned.h.
 *
 *     magic, count, { key, count, { rows, slots, row_ns as a float's bits }, memory's five }, sum
 *
 * all as numbers of pack.h. The sum guards against files that were cut or mixed up, not against
 * malice: whoever may write the file could as well compute it. Figures that make no sense are
 * passed over by learner_restore, and wrong ones soon outvoted. */
#include "schedule/learned.h"

#include "base/pack.h"

#include <assert.h>
#include <stdlib.h>

static const uint64_t MAGIC =
    UINT64_C(0x32306e72616c6474); /* "tdlarn02": with the layout's number */

enum { FIRST_CAPACITY = 16, NUMBER_BYTES = 8 };

/* FNV-1a. */
static uint64_t sum_of(struct span bytes, uint64_t sum)
{
    for (size_t i = 0; i < bytes.size; i++) /* -Wanalyzer-null-dereference: empty without data */
        sum = (sum ^ (unsigned char)bytes.data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t add_number(uint64_t sum, uint64_t number)
{
    return sum_of((struct span){(const char *)&number, sizeof number}, sum);
}

static const uint64_t SUM_START = UINT64_C(0xcbf29ce484222325);

static uint64_t key_of(const struct learned_subject *subject, const struct learner *learner)
{
    uint64_t key = sum_of(subject->model, SUM_START);
    const uint64_t numbers[] = {subject->model.size, subject->version,  subject->fingerprint,
                                subject->processors, subject->threads,  learner->max_rows,
                                learner->max_slots,  learner->all_slots};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        key = add_number(key, numbers[i]);
    return key;
}

void learned_fini(struct learned *learned)
{
    free(learned->entries);
    *learned = (struct learned){NULL, 0, 0};
}

static bool has_room(struct learned *learned)
{
    if (learned->count < learned->capacity)
        return true;
    size_t capacity = learned->capacity ? 2 * learned->capacity : FIRST_CAPACITY;
    struct learned_entry *entries =
        reallocarray(learned->entries, capacity, sizeof *learned->entries);
    if (!entries)
        return false;
    learned->entries = entries;
    learned->capacity = capacity;
    return true;
}

/* Takes an entry out. */
static void take(struct learned *learned, size_t at)
{
    memmove(&learned->entries[at], &learned->entries[at + 1],
            (--learned->count - at) * sizeof *learned->entries);
}

static size_t find(const struct learned *learned, uint64_t key)
{
    size_t at = 0;
    while (at < learned->count && learned->entries[at].key != key)
        at++;
    return at;
}

/* As the one that was used last. */
static void put(struct learned *learned, const struct learned_entry *entry)
{
    size_t at = find(learned, entry->key);
    if (at < learned->count)
        take(learned, at);
    if (learned->count == LEARNED_MAX)
        take(learned, 0);
    if (has_room(learned))
        learned->entries[learned->count++] = *entry;
}

void learned_keep(struct learned *learned, const struct learned_subject *subject,
                  const struct learner *learner)
{
    struct learned_entry entry = {.key = key_of(subject, learner)};
    entry.count = learner_save(learner, entry.points);
    if (entry.count > 0)
        put(learned, &entry);
}

bool learned_recall(struct learned *learned, const struct learned_subject *subject,
                    struct learner *learner)
{
    size_t at = find(learned, key_of(subject, learner));
    if (at == learned->count)
        return false;
    struct learned_entry entry = learned->entries[at];
    learner_restore(learner, entry.points, entry.count);
    put(learned, &entry);
    return true;
}

/* Of the subject alone: what a model allows is no matter here. */
static uint64_t memory_key_of(const struct learned_subject *subject)
{
    static const struct learner none = {.max_rows = UINT64_MAX};
    return key_of(subject, &none);
}

void learned_keep_memory(struct learned *learned, const struct learned_subject *subject,
                         const struct residency_figures *figures)
{
    const struct learned_entry entry = {.key = memory_key_of(subject), .memory = *figures};
    if (figures->loading.bytes)
        put(learned, &entry);
}

bool learned_recall_memory(struct learned *learned, const struct learned_subject *subject,
                           struct residency_figures *ret_figures)
{
    size_t at = find(learned, memory_key_of(subject));
    if (at == learned->count || !learned->entries[at].memory.loading.bytes)
        return false;
    struct learned_entry entry = learned->entries[at];
    *ret_figures = entry.memory;
    put(learned, &entry);
    return true;
}

/* ---- as bytes ---- */

static void write_memory(const struct residency_figures *memory, struct buf *buf)
{
    pack_number(buf, memory->loading.bytes);
    pack_number(buf, memory->loading.device_bytes);
    pack_number(buf, memory->loaded.bytes);
    pack_number(buf, memory->loaded.device_bytes);
    pack_number(buf, memory->load_ns);
}

/* So that sums do not overflow. */
static const uint64_t MOST_BYTES = UINT64_C(1) << 48;

static void read_memory(struct unpack *unpack, struct residency_figures *memory)
{
    memory->loading.bytes = unpack_number(unpack, MOST_BYTES);
    memory->loading.device_bytes = unpack_number(unpack, MOST_BYTES);
    memory->loaded.bytes = unpack_number(unpack, MOST_BYTES);
    memory->loaded.device_bytes = unpack_number(unpack, MOST_BYTES);
    memory->load_ns = unpack_number(unpack, MOST_BYTES);
}

void learned_write(const struct learned *learned, struct buf *buf)
{
    size_t start = buf->size;
    pack_number(buf, MAGIC);
    pack_number(buf, learned->count);
    for (size_t i = 0; i < learned->count; i++) {
        const struct learned_entry *entry = &learned->entries[i];
        pack_number(buf, entry->key);
        pack_number(buf, entry->count);
        for (size_t j = 0; j < entry->count; j++) {
            uint32_t bits;
            memcpy(&bits, &entry->points[j].row_ns, sizeof bits);
            pack_number(buf, entry->points[j].rows);
            pack_number(buf, entry->points[j].slots);
            pack_number(buf, bits);
        }
        write_memory(&entry->memory, buf);
    }
    if (buf_ok(buf))
        pack_number(buf, sum_of(span_after(buf_span(buf), start), SUM_START));
}

static void read_entry(struct unpack *unpack, struct learned_entry *entry)
{
    *entry = (struct learned_entry){.key = unpack_number(unpack, UINT64_MAX)};
    entry->count = unpack_number(unpack, LEARNER_POINTS);
    for (size_t i = 0; i < entry->count; i++) {
        entry->points[i].rows = (uint32_t)unpack_number(unpack, UINT32_MAX);
        entry->points[i].slots = (uint32_t)unpack_number(unpack, UINT32_MAX);
        uint32_t bits = (uint32_t)unpack_number(unpack, UINT32_MAX);
        memcpy(&entry->points[i].row_ns, &bits, sizeof bits);
    }
    read_memory(unpack, &entry->memory);
}

/* The sum is right, and what is left are the bytes in front of it. */
static bool is_whole(struct unpack *unpack)
{
    size_t size = unpack->rest.size;
    if (size < NUMBER_BYTES)
        return false;
    struct unpack sum = {.rest = span_after(unpack->rest, size - NUMBER_BYTES)};
    unpack->rest.size -= NUMBER_BYTES;
    return unpack_number(&sum, UINT64_MAX) == sum_of(unpack->rest, SUM_START);
}

bool learned_read(struct learned *learned, struct span bytes, struct error *ret_error)
{
    struct unpack unpack = {.rest = bytes};
    struct learned_entry entry;
    assert(learned->count == 0);
    if (!is_whole(&unpack))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "it is damaged");
    if (unpack_number(&unpack, UINT64_MAX) != MAGIC)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "its layout is not this version's");
    size_t count = unpack_number(&unpack, LEARNED_MAX);
    for (size_t i = 0; i < count && !unpack.failed; i++) {
        read_entry(&unpack, &entry);
        if (!unpack.failed)
            put(learned, &entry);
    }
    if (unpack_end(&unpack))
        return true;
    learned_fini(learned);
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "it is damaged");
}
