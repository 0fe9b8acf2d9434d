/* The ring; see ring.h and channel_layout.h.
 *
 * The two ends of the sleep protocol are Dekker's: the reader stores `sleeping` and then looks at
 * `head`; the writer stores `head` and then looks at `sleeping`; all four sequentially consistent.
 * So either the reader sees the record or the writer sees that it sleeps. A writer that waits for
 * room and the reader that makes some do the same with `writer_waits` and `tail`. */
#include "worker/ring.h"

#include <assert.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t padded(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

void ring_init(struct ring *ring, struct ring_shared *shared, void *data)
{
    *ring = (struct ring){.shared = shared, .data = data};
}

/* A tail that is honest lies between the last one seen and our head. */
static bool refresh_tail(struct ring *ring)
{
    uint64_t tail = __atomic_load_n(&ring->shared->tail, __ATOMIC_ACQUIRE);
    if (tail < ring->tail || tail > ring->head)
        return false;
    ring->tail = tail;
    return true;
}

/* Makes room for `size` bytes in one piece, after padding where the ring's end is too near. */
static enum ring_state make_room(struct ring *ring, uint64_t size)
{
    uint64_t to_end = RING_BYTES - ring->head % RING_BYTES;
    uint64_t padding = to_end < size ? to_end : 0;
    if (RING_BYTES - (ring->head - ring->tail) < padding + size) {
        if (!refresh_tail(ring))
            return RING_BROKEN;
        if (RING_BYTES - (ring->head - ring->tail) < padding + size)
            return RING_FULL;
    }
    if (padding) {
        struct record_head head = {(uint32_t)padding, RECORD_PADDING};
        memcpy(ring->data + ring->head % RING_BYTES, &head, sizeof head);
        ring->head += padding;
    }
    return RING_RECORD;
}

enum ring_state ring_write(struct ring *ring, const void *record)
{
    struct record_head head;
    memcpy(&head, record, sizeof head);
    assert(head.size >= sizeof head && head.size <= RING_RECORD_MAX);
    enum ring_state state = make_room(ring, padded(head.size));
    if (state != RING_RECORD)
        return state;
    memcpy(ring->data + ring->head % RING_BYTES, record, head.size);
    ring->head += padded(head.size);
    __atomic_store_n(&ring->shared->head, ring->head, __ATOMIC_RELEASE);
    return RING_RECORD;
}

bool ring_must_wake(struct ring *ring)
{
    /* Stored again, now in the one order with `sleeping`; many records need that once.
     */
    __atomic_store_n(&ring->shared->head, ring->head, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&ring->shared->sleeping, __ATOMIC_SEQ_CST) &&
           __atomic_exchange_n(&ring->shared->sleeping, 0, __ATOMIC_ACQ_REL);
}

void ring_wait_room(struct ring *ring, unsigned timeout_ms)
{
    uint32_t room = __atomic_load_n(&ring->shared->room, __ATOMIC_ACQUIRE);
    __atomic_store_n(&ring->shared->writer_waits, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ring->shared->tail, __ATOMIC_SEQ_CST) != ring->tail)
        return;
    struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
    syscall(SYS_futex, &ring->shared->room, FUTEX_WAIT, room, &timeout, NULL, 0);
}

/* A head that is honest lies between the last one seen and a full ring's. */
static enum ring_state refresh_head(struct ring *ring)
{
    uint64_t head = __atomic_load_n(&ring->shared->head, __ATOMIC_ACQUIRE);
    if (head < ring->head || head - ring->tail > RING_BYTES || head % 8 != 0)
        return RING_BROKEN;
    ring->head = head;
    return head == ring->tail ? RING_EMPTY : RING_RECORD;
}

/* Where the next record that is not padding lies, and how long it says it is. */
static enum ring_state next_record(struct ring *ring, uint32_t *ret_size)
{
    for (;;) {
        if (ring->head == ring->tail) {
            enum ring_state state = refresh_head(ring);
            if (state != RING_RECORD)
                return state;
        }
        struct record_head head;
        uint64_t place = ring->tail % RING_BYTES;
        memcpy(&head, ring->data + place, sizeof(head));
        uint64_t size = padded(head.size);
        if (head.size < sizeof(head) || size > ring->head - ring->tail || size > RING_BYTES - place)
            return RING_BROKEN;
        if (head.type == RECORD_PADDING) {
            ring->tail += size;
            continue;
        }
        *ret_size = head.size;
        return head.size <= RING_RECORD_MAX ? RING_RECORD : RING_BROKEN;
    }
}

enum ring_state ring_read(struct ring *ring, void *copy, uint32_t *ret_size)
{
    uint32_t size;
    enum ring_state state = next_record(ring, &size);
    if (state != RING_RECORD)
        return state;
    memcpy(copy, ring->data + ring->tail % RING_BYTES, size);
    /* The head may have changed since its size was checked; the copy says what was checked. */
    ((struct record_head *)copy)->size = size;
    ring->tail += padded(size);
    *ret_size = size;
    return RING_RECORD;
}

void ring_publish(struct ring *ring)
{
    if (ring->published == ring->tail)
        return;
    ring->published = ring->tail;
    __atomic_store_n(&ring->shared->tail, ring->tail, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&ring->shared->writer_waits, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&ring->shared->writer_waits, 0, __ATOMIC_RELAXED);
    __atomic_fetch_add(&ring->shared->room, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &ring->shared->room, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool ring_sleep(struct ring *ring)
{
    __atomic_store_n(&ring->shared->sleeping, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ring->shared->head, __ATOMIC_SEQ_CST) == ring->tail)
        return true;
    ring_awake(ring);
    return false;
}

void ring_awake(struct ring *ring)
{
    __atomic_store_n(&ring->shared->sleeping, 0, __ATOMIC_RELAXED);
}
