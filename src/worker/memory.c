/* Tensor memory; see memory.h.
 *
 *     file:  | 64 B slots … | 128 B slots … | 256 B slots … | … | slots of the limit |
 *              one region of equal size for each power of two, sparse
 *
 * A class hands out a warm slot (its pages were touched before) or else a cold one (never touched,
 * or punched out). Trimming punches whole pages whose slots are all free. A limit on the bytes
 * asked for bounds a region: slots are more than half full, so twice the limit is room enough for
 * any mix.
 *
 * A slot that is handed out again still holds what its last user left there. Only workers of the
 * same generation of the same model can see that, and they saw it when it was written. */
#include "worker/memory.h"

#include "telemetry/metrics.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MIN_CLASS_LOG2 = 6,
    MAX_CLASS_LOG2 = 36, /* slot numbers fit 32 bits */
    MAX_CLASSES = MAX_CLASS_LOG2 - MIN_CLASS_LOG2 + 1,
    PAGE_LOG2 = 12,
};

struct slot_class {
    uint64_t base;  /* offset of the region */
    uint32_t bump;  /* slots from here on were never handed out */
    uint32_t *warm; /* free slots, the latest released on top */
    uint32_t warm_count;
    uint32_t *cold; /* free slots without pages */
    uint32_t cold_count;
    bool *live;        /* slot by slot: handed out now */
    uint32_t capacity; /* of the three arrays; ≥ bump, so that a release needs no memory */
};

struct tensor_memory {
    int fd;
    char *map;
    uint64_t size_bytes;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t touched_bytes; /* in slots handed out or warm: what may have pages */
    unsigned class_count;
    struct slot_class classes[MAX_CLASSES];
};

static unsigned log2_ceil(uint64_t value)
{
    return value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);
}

/* The class for a piece of this size. */
static unsigned class_index(uint64_t size)
{
    unsigned log2 = log2_ceil(size);
    return log2 < MIN_CLASS_LOG2 ? 0 : log2 - MIN_CLASS_LOG2;
}

static uint64_t class_size(unsigned index)
{
    return UINT64_C(1) << (index + MIN_CLASS_LOG2);
}

static bool open_file(struct tensor_memory *memory, struct error *ret_error)
{
    memory->fd = memfd_create("tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory->fd < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no descriptor for tensor memory");
    if (ftruncate(memory->fd, (off_t)memory->size_bytes) < 0 ||
        fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "tensor memory cannot be set up");
    memory->map = mmap(NULL, memory->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                       memory->fd, 0);
    if (memory->map == MAP_FAILED) {
        memory->map = NULL;
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no address space for tensor memory");
    }
    return true;
}

struct tensor_memory *tensor_memory_new(uint64_t limit_bytes, struct error *ret_error)
{
    if (limit_bytes == 0 || limit_bytes > UINT64_C(1) << MAX_CLASS_LOG2) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "tensor memory must be 1 to 2^%d bytes",
                  MAX_CLASS_LOG2);
        return NULL;
    }
    struct tensor_memory *memory = calloc(1, sizeof(*memory));
    if (!memory) {
        error_no_memory(ret_error);
        return NULL;
    }
    memory->fd = -1;
    memory->limit_bytes = tensor_memory_charge(limit_bytes);
    memory->class_count = class_index(memory->limit_bytes) + 1;
    uint64_t region = 2 * class_size(memory->class_count - 1);
    if (region < UINT64_C(1) << PAGE_LOG2)
        region = UINT64_C(1) << PAGE_LOG2;
    for (unsigned i = 0; i < memory->class_count; i++)
        memory->classes[i].base = i * region;
    memory->size_bytes = memory->class_count * region;
    if (!open_file(memory, ret_error)) {
        tensor_memory_free(memory);
        return NULL;
    }
    return memory;
}

void tensor_memory_free(struct tensor_memory *memory)
{
    if (!memory)
        return;
    for (unsigned i = 0; i < memory->class_count; i++) {
        free(memory->classes[i].warm);
        free(memory->classes[i].cold);
        free(memory->classes[i].live);
    }
    if (memory->map)
        munmap(memory->map, memory->size_bytes);
    if (memory->fd >= 0)
        close(memory->fd);
    free(memory);
}

/* Makes *array hold `capacity` elements. An array that has grown while another has not is merely
 * larger than it needs to be. */
static bool grow(void **array, uint32_t capacity, size_t element_size)
{
    void *grown = reallocarray(*array, capacity, element_size);
    if (grown)
        *array = grown;
    return grown != NULL;
}

static bool slots_reserve(struct slot_class *slots)
{
    if (slots->bump < slots->capacity)
        return true;
    uint32_t capacity = slots->capacity ? slots->capacity * 2 : 16;
    if (!grow((void **)&slots->warm, capacity, sizeof(*slots->warm)) ||
        !grow((void **)&slots->cold, capacity, sizeof(*slots->cold)) ||
        !grow((void **)&slots->live, capacity, sizeof(*slots->live)))
        return false;
    slots->capacity = capacity;
    return true;
}

/* A slot whose pages the kernel does not hold yet. */
static bool cold_slot(struct tensor_memory *memory, unsigned index, uint32_t *ret_slot)
{
    struct slot_class *slots = &memory->classes[index];
    if (memory->touched_bytes + class_size(index) > 2 * memory->limit_bytes)
        tensor_memory_trim(memory);
    if (slots->cold_count > 0) {
        *ret_slot = slots->cold[--slots->cold_count];
    } else if (slots_reserve(slots)) {
        *ret_slot = slots->bump++;
    } else {
        return false;
    }
    memory->touched_bytes += class_size(index);
    return true;
}

bool tensor_memory_alloc(struct tensor_memory *memory, uint64_t size, struct extent *ret_extent,
                         struct error *ret_error)
{
    if (size == 0) {
        *ret_extent = (struct extent){0, 0};
        return true;
    }
    if (size > memory->limit_bytes ||
        tensor_memory_charge(size) > memory->limit_bytes - memory->used_bytes)
        limit_hit(LIMIT_memory_limit_mib);
    if (size > memory->limit_bytes)
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "a tensor of %llu bytes is larger than the model's memory for tensors",
                         (unsigned long long)size);
    if (tensor_memory_charge(size) > memory->limit_bytes - memory->used_bytes)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the model's memory for tensors is in use");
    unsigned index = class_index(size);
    struct slot_class *slots = &memory->classes[index];
    uint32_t slot;
    if (slots->warm_count > 0)
        slot = slots->warm[--slots->warm_count];
    else if (!cold_slot(memory, index, &slot))
        return error_no_memory(ret_error);
    slots->live[slot] = true;
    memory->used_bytes += tensor_memory_charge(size);
    *ret_extent = (struct extent){slots->base + slot * class_size(index), size};
    return true;
}

void tensor_memory_release(struct tensor_memory *memory, struct extent extent)
{
    if (extent.size == 0)
        return;
    assert(extent.size <= memory->limit_bytes);
    unsigned index = class_index(extent.size);
    struct slot_class *slots = &memory->classes[index];
    uint64_t slot = (extent.offset - slots->base) / class_size(index);
    assert(extent.offset >= slots->base && slot < slots->bump && slots->live[slot]);
    slots->live[slot] = false;
    slots->warm[slots->warm_count++] = (uint32_t)slot;
    memory->used_bytes -= tensor_memory_charge(extent.size);
}

void *tensor_memory_at(const struct tensor_memory *memory, struct extent extent)
{
    assert(extent.offset <= memory->size_bytes &&
           extent.size <= memory->size_bytes - extent.offset);
    return memory->map + extent.offset;
}

int tensor_memory_fd(const struct tensor_memory *memory)
{
    return memory->fd;
}

uint64_t tensor_memory_size_bytes(const struct tensor_memory *memory)
{
    return memory->size_bytes;
}

uint64_t tensor_memory_used_bytes(const struct tensor_memory *memory)
{
    return memory->used_bytes;
}

uint64_t tensor_memory_committed_bytes(const struct tensor_memory *memory)
{
    struct stat status;
    return fstat(memory->fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

/* What the slots of a class that may have pages take at most, when the kernel gives memory in units
 * of unit_bytes. */
static uint64_t footprint_bytes(const struct slot_class *slots, uint64_t slot_bytes,
                                uint64_t unit_bytes)
{
    uint64_t touched = slots->bump - slots->cold_count;
    if (slot_bytes >= unit_bytes)
        return touched * slot_bytes;
    uint64_t per_unit = unit_bytes / slot_bytes;
    uint64_t units = (slots->bump + per_unit - 1) / per_unit;
    return (touched < units ? touched : units) * unit_bytes;
}

uint64_t tensor_memory_excess_bytes(const struct tensor_memory *memory)
{
    struct stat status;
    uint64_t accounted = 0;
    if (fstat(memory->fd, &status) < 0)
        return 0;
    /* The block size is that of the pages that the kernel uses for the file: huge ones, perhaps. */
    for (unsigned i = 0; i < memory->class_count; i++)
        accounted +=
            footprint_bytes(&memory->classes[i], class_size(i), (uint64_t)status.st_blksize);
    uint64_t committed = (uint64_t)status.st_blocks * 512;
    return committed > accounted ? committed - accounted : 0;
}

static bool punch(struct tensor_memory *memory, uint64_t offset, uint64_t size)
{
    return fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)size) == 0;
}

/* Punches every unit (a page, or a slot that is larger) that has warm slots and no live one, and
 * moves its warm slots to the cold ones. unit_state has a cleared element for each unit. */
static void punch_free_units(struct tensor_memory *memory, unsigned index, uint8_t *unit_state)
{
    enum { FREE, IN_USE, PUNCHED };
    struct slot_class *slots = &memory->classes[index];
    unsigned log2 = index + MIN_CLASS_LOG2;
    unsigned per_unit_log2 = log2 < PAGE_LOG2 ? PAGE_LOG2 - log2 : 0;
    uint64_t unit_size = class_size(index) << per_unit_log2;
    for (uint32_t slot = 0; slot < slots->bump; slot++) {
        if (slots->live[slot])
            unit_state[slot >> per_unit_log2] = IN_USE;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < slots->warm_count; i++) {
        uint32_t slot = slots->warm[i], unit = slot >> per_unit_log2;
        if (unit_state[unit] == FREE && punch(memory, slots->base + unit * unit_size, unit_size))
            unit_state[unit] = PUNCHED;
        if (unit_state[unit] == PUNCHED) {
            slots->cold[slots->cold_count++] = slot;
            memory->touched_bytes -= class_size(index);
        } else {
            slots->warm[kept++] = slot;
        }
    }
    slots->warm_count = kept;
}

void tensor_memory_trim(struct tensor_memory *memory)
{
    for (unsigned i = 0; i < memory->class_count; i++) {
        if (memory->classes[i].warm_count == 0)
            continue;
        /* Units are no more than slots; without memory for this, the class keeps its pages. */
        uint8_t *unit_state = calloc(memory->classes[i].bump, 1);
        if (unit_state)
            punch_free_units(memory, i, unit_state);
        free(unit_state);
    }
}

/* Everything but live slots, run by run. */
static void reclaim_class(struct tensor_memory *memory, unsigned index, uint64_t end)
{
    const struct slot_class *slots = &memory->classes[index];
    uint64_t from = slots->base;
    for (uint32_t slot = 0; slot < slots->bump; slot++) {
        uint64_t at = slots->base + slot * class_size(index);
        if (!slots->live[slot])
            continue;
        if (at > from)
            punch(memory, from, at - from);
        from = at + class_size(index);
    }
    if (end > from)
        punch(memory, from, end - from);
}

void tensor_memory_reclaim(struct tensor_memory *memory)
{
    uint64_t region = memory->size_bytes / memory->class_count;
    tensor_memory_trim(memory);
    for (unsigned i = 0; i < memory->class_count; i++)
        reclaim_class(memory, i, memory->classes[i].base + region);
}
