/* A ring whose other end may write anything into the shared memory. The input is a program: what is
 * honest is read as it was written; whatever is forged, no record is read that lies beyond the ring
 * or is larger than one may be. */
#include "worker/ring.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WRITTEN = 64 };

struct test {
    struct ring_shared shared;
    unsigned char *data;
    struct ring writer, reader;
    bool forged, broken;
    uint32_t written[WRITTEN]; /* sizes of records, as long as all is honest */
    size_t first, count;
    _Alignas(8) unsigned char record[RING_RECORD_MAX];
};

static void write_record(struct test *t, uint32_t size, unsigned char fill)
{
    struct record_head head = {size, RECORD_LOG};
    memcpy(t->record, &head, sizeof head);
    memset(t->record + sizeof head, fill, size - sizeof head);
    enum ring_state state = ring_write(&t->writer, t->record);
    assert(t->forged || state == RING_RECORD || state == RING_FULL);
    if (state == RING_RECORD)
        t->written[(t->first + t->count++) % WRITTEN] = size;
    ring_must_wake(&t->writer);
}

static void read_record(struct test *t)
{
    uint32_t size;
    enum ring_state state = ring_read(&t->reader, t->record, &size);
    assert(t->forged || state == (t->count ? RING_RECORD : RING_EMPTY));
    t->broken = state == RING_BROKEN; /* then it is not spoken to again */
    if (state != RING_RECORD)
        return;
    struct record_head head;
    memcpy(&head, t->record, sizeof head);
    assert(head.size == size && size >= sizeof head && size <= RING_RECORD_MAX);
    assert(t->forged || size == t->written[t->first]);
    t->first = (t->first + 1) % WRITTEN;
    t->count -= t->count > 0;
}

static void sleep_and_wake(struct test *t)
{
    bool empty = ring_sleep(&t->reader);
    if (!t->forged)
        assert(empty == (t->count == 0));
    ring_awake(&t->reader);
}

/* One step: a byte that says what, and an operand. False: no more. */
static bool step(struct test *t, const uint8_t **data, size_t *size)
{
    uint32_t operand;
    if (*size < 1 + sizeof operand || t->broken)
        return false;
    char what = (char)**data;
    memcpy(&operand, *data + 1, sizeof operand);
    *data += 1 + sizeof operand;
    *size -= 1 + sizeof operand;
    switch (what) {
    case 'w':
        if (t->count < WRITTEN)
            write_record(t, (uint32_t)sizeof(struct record_head) + operand % (RING_RECORD_MAX - 7),
                         (unsigned char)operand);
        break;
    case 'r':
        read_record(t);
        break;
    case 'p':
        ring_publish(&t->reader);
        break;
    case 's':
        sleep_and_wake(t);
        break;
    case 'n':
        ring_wait_room(&t->writer, 0);
        break;
    case 'h': /* forged: the writer's position, moved */
        t->forged = true;
        t->shared.head += (uint64_t)(int64_t)(int32_t)operand;
        break;
    case 't': /* the reader's */
        t->forged = true;
        t->shared.tail += (uint64_t)(int64_t)(int32_t)operand;
        break;
    case 'd': /* a byte of a record that is to be read */
        t->forged = true;
        t->data[(t->reader.tail + (operand & 15)) % RING_BYTES] = (unsigned char)(operand >> 8);
        break;
    default:
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test test;
    struct test *t = &test;
    uint16_t start;
    if (size < sizeof start)
        return 0;
    memcpy(&start, data, sizeof start);
    data += sizeof start;
    size -= sizeof start;
    unsigned char *memory = t->data ? t->data : malloc(RING_BYTES);
    assert(memory);
    memset(t, 0, offsetof(struct test, record));
    t->data = memory;
    ring_init(&t->writer, &t->shared, t->data);
    ring_init(&t->reader, &t->shared, t->data);
    /* Somewhere along the ring, as after many records. */
    t->shared.head = t->shared.tail = (uint64_t)start * 8;
    t->writer.head = t->writer.tail = t->shared.head;
    t->reader.head = t->reader.tail = t->reader.published = t->shared.head;
    while (step(t, &data, &size))
        continue;
    return 0;
}
