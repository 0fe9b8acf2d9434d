/* Sequences, their requests and their places; see sequences.h. */
#include "schedule/sequences.h"

#include "base/clock.h"
#include "schedule/plant.h"

#include <assert.h>
#include <stdlib.h>

void sequences_init(struct sequences *sequences, const struct sequences_events *events)
{
    *sequences = (struct sequences){.events = events};
    map_init(&sequences->by_key);
    list_init(&sequences->workers);
    list_init(&sequences->requests);
    list_init(&sequences->ready);
    list_init(&sequences->backlog);
    list_init(&sequences->idle);
    list_init(&sequences->lost);
}

void sequences_bound(struct sequences *sequences, uint32_t places, bool numbered, uint64_t idle_ns)
{
    assert(list_empty(&sequences->workers) && places > 0);
    assert(!numbered || places <= SEQUENCES_MAX_ROWS);
    sequences->places = places;
    sequences->numbered = numbered;
    sequences->idle_ns = idle_ns;
}

size_t sequences_count(const struct sequences *sequences)
{
    return sequences->by_key.count - sequences->lost_count;
}

/* ---- places ---- */

static struct sequence_worker *find_worker(const struct sequences *sequences)
{
    struct sequence_worker *best = NULL;
    uint32_t places = sequences->places + (SCHEDULE_PLANT == PLANT_EXCEEDED);
    list_each(link, &sequences->workers)
    {
        struct sequence_worker *worker = list_entry(link, struct sequence_worker, link);
        if (!worker->closed && worker->used < places && (!best || worker->used < best->used))
            best = worker;
    }
    return best;
}

static void take_place(const struct sequences *sequences, struct sequence *sequence,
                       struct sequence_worker *worker)
{
    sequence->worker = worker;
    worker->used++;
    list_add(&worker->sequences, &sequence->worker_link);
    for (uint32_t row = 0; sequences->numbered && row < sequences->places; row++) {
        if (worker->rows[row])
            continue;
        worker->rows[row] = sequence;
        sequence->row = row;
        break;
    }
}

static void leave_place(const struct sequences *sequences, struct sequence *sequence)
{
    struct sequence_worker *worker = sequence->worker;
    if (!worker)
        return;
    sequence->worker = NULL;
    worker->used--;
    list_remove(&sequence->worker_link);
    if (sequences->numbered)
        worker->rows[sequence->row] = NULL;
}

/* ---- their lives ---- */

static struct span key_of(const struct sequence *sequence)
{
    return (struct span){sequence->key, sequence->key_size};
}

/* It is as if it had not begun; it keeps its place. */
static void end(const struct sequences *sequences, struct sequence *sequence)
{
    if (sequence->begun)
        sequences->events->ended(sequence);
    sequence->begun = false;
}

/* Takes it out of the list that it is in. */
static void unlist(struct sequences *sequences, struct sequence *sequence)
{
    list_remove(&sequence->link);
    sequences->lost_count -= sequence->remembered;
    sequence->remembered = false;
}

static void forget(struct sequences *sequences, struct sequence *sequence)
{
    assert(list_empty(&sequence->waiting) && !sequence->turn);
    end(sequences, sequence);
    leave_place(sequences, sequence);
    unlist(sequences, sequence);
    map_remove(&sequences->by_key, key_of(sequence));
    free(sequence);
}

static struct sequence_request *first_of(const struct sequence *sequence)
{
    return list_entry(list_first(&sequence->waiting), struct sequence_request, link);
}

static void remember(struct sequences *sequences, struct sequence *sequence, uint64_t now_ns)
{
    if (sequences->lost_count == SEQUENCES_MAX_LOST)
        forget(sequences, list_entry(list_first(&sequences->lost), struct sequence, link));
    sequence->idle_since_ns = now_ns;
    sequence->remembered = true;
    sequences->lost_count++;
    list_add(&sequences->lost, &sequence->link);
}

/* Puts it where it belongs, now that it is not what it was. It may be gone then. */
static void settle(struct sequences *sequences, struct sequence *sequence, uint64_t now_ns)
{
    unlist(sequences, sequence);
    if (sequence->turn)
        return;
    if (list_empty(&sequence->waiting) && !sequence->begun && sequence->lost) {
        remember(sequences, sequence, now_ns);
    } else if (list_empty(&sequence->waiting) && !sequence->begun) {
        forget(sequences, sequence);
    } else if (list_empty(&sequence->waiting)) {
        sequence->idle_since_ns = now_ns;
        list_add(&sequences->idle, &sequence->link);
    } else if (sequence->worker || !first_of(sequence)->starts) {
        list_add(&sequences->ready, &sequence->link);
    } else if (SCHEDULE_PLANT == PLANT_STARVED) {
        list_insert_first(&sequences->backlog, &sequence->link);
    } else {
        list_add(&sequences->backlog, &sequence->link);
    }
}

void sequences_fini(struct sequences *sequences)
{
    struct map_slot slot;
    for (size_t at = 0; map_next(&sequences->by_key, &at, &slot); at = 0)
        forget(sequences, slot.value);
    map_fini(&sequences->by_key);
}

/* ---- workers ---- */

void sequences_add_worker(struct sequences *sequences, struct sequence_worker *worker)
{
    list_init(&worker->sequences);
    list_add(&sequences->workers, &worker->link);
}

static void put_back(struct sequences *sequences, struct sequence_request *request)
{
    struct sequence *sequence = request->sequence;
    sequence->turn = NULL;
    request->state = SEQUENCE_WAITS;
    if (SCHEDULE_PLANT != PLANT_LOST)
        list_insert_first(&sequence->waiting, &request->link);
    list_insert_first(&sequences->requests, &request->wait_link);
    sequences->events->recalled(request);
}

void sequences_remove_worker(struct sequences *sequences, struct sequence_worker *worker,
                             uint64_t now_ns)
{
    list_remove(&worker->link);
    list_each(link, &worker->sequences)
    {
        struct sequence *sequence = list_entry(link, struct sequence, worker_link);
        sequence->lost |= sequence->begun;
        end(sequences, sequence);
        leave_place(sequences, sequence);
        if (sequence->turn && sequence->turn->state == SEQUENCE_HAS_TURN)
            put_back(sequences, sequence->turn);
        settle(sequences, sequence, now_ns);
    }
}

/* ---- requests ---- */

static size_t write_key(const struct sequence_id *id, char key[static SEQUENCE_KEY_BYTES])
{
    key[0] = id->number ? 'n' : 't';
    if (id->number)
        memcpy(key + 1, &id->number, sizeof id->number);
    else
        memcpy(key + 1, id->text.data, id->text.size);
    return 1 + (id->number ? sizeof id->number : id->text.size);
}

/* Whether it goes on after all that is known of it. */
static bool is_open(const struct sequence *sequence)
{
    const struct sequence_request *last = sequence->turn;
    if (!list_empty(&sequence->waiting))
        last = list_entry(sequence->waiting.head.previous, struct sequence_request, link);
    return last ? !last->ends : sequence->begun;
}

static struct sequence *make(struct sequences *sequences, const char *key, size_t key_size)
{
    struct sequence *sequence = calloc(1, sizeof *sequence);
    if (!sequence)
        return NULL;
    memcpy(sequence->key, key, key_size);
    sequence->key_size = key_size;
    list_init(&sequence->waiting);
    if (map_set(&sequences->by_key, key_of(sequence), sequence))
        return sequence;
    free(sequence);
    return NULL;
}

enum sequences_verdict sequences_submit(struct sequences *sequences,
                                        struct sequence_request *request,
                                        const struct sequence_id *id)
{
    char key[SEQUENCE_KEY_BYTES];
    size_t key_size = write_key(id, key);
    struct sequence *sequence = map_get(&sequences->by_key, (struct span){key, key_size});
    if (!request->starts && (!sequence || !is_open(sequence)))
        return sequence && sequence->lost ? SEQUENCES_LOST : SEQUENCES_NOT_STARTED;
    if (!sequence)
        sequence = make(sequences, key, key_size);
    if (!sequence)
        return SEQUENCES_NO_MEMORY;
    bool rested = list_empty(&sequence->waiting);
    request->state = SEQUENCE_WAITS;
    request->sequence = sequence;
    if (SCHEDULE_PLANT == PLANT_REORDERED)
        list_insert_first(&sequence->waiting, &request->link);
    else
        list_add(&sequence->waiting, &request->link);
    list_add(&sequences->requests, &request->wait_link);
    if (rested)
        settle(sequences, sequence, 0);
    return SEQUENCES_TAKEN;
}

static void take_out(struct sequence_request *request, enum sequence_turn state)
{
    list_remove(&request->link);
    list_remove(&request->wait_link);
    request->state = state;
}

/* Its first request is out: its sequence has not begun. */
static void let_go(struct sequences *sequences, struct sequence_request *request, uint64_t now_ns)
{
    struct sequence *sequence = request->sequence;
    take_out(request, SEQUENCE_NONE);
    request->sequence = NULL;
    request->lost = sequence->lost;
    settle(sequences, sequence, now_ns);
}

struct sequence_request *sequences_next(struct sequences *sequences, uint64_t now_ns)
{
    struct list_link *link = list_first(&sequences->ready);
    struct sequence_worker *worker = NULL;
    if (!link) {
        link = list_first(&sequences->backlog);
        worker = link ? find_worker(sequences) : NULL;
        if (!worker)
            return NULL;
    }
    struct sequence *sequence = list_entry(link, struct sequence, link);
    struct sequence_request *request = first_of(sequence);
    /* -Wanalyzer-null-dereference: one that is ready or in the backlog has a request that waits */
    if (!request->starts && !sequence->begun) {
        let_go(sequences, request, now_ns);
        return request;
    }
    if (worker)
        take_place(sequences, sequence, worker);
    if (request->starts)
        end(sequences, sequence);
    take_out(request, SEQUENCE_HAS_TURN);
    sequence->turn = request;
    settle(sequences, sequence, now_ns);
    return request;
}

void sequences_leave(struct sequences *sequences, struct sequence_request *request, uint64_t now_ns)
{
    struct sequence *sequence = request->sequence;
    assert(request->state == SEQUENCE_WAITS || request->state == SEQUENCE_HAS_TURN);
    bool first = request == sequence->turn || request == first_of(sequence);
    if (request == sequence->turn)
        sequence->turn = NULL;
    take_out(request, SEQUENCE_NONE);
    request->sequence = NULL;
    if (first)
        settle(sequences, sequence, now_ns);
}

void sequences_run(struct sequence_request *request)
{
    assert(request->state == SEQUENCE_HAS_TURN && request->sequence->worker);
    request->state = SEQUENCE_RUNS;
    request->sequence->begun = true;
    request->sequence->lost = false;
}

void sequences_answered(struct sequences *sequences, struct sequence_request *request, bool broken,
                        uint64_t now_ns)
{
    struct sequence *sequence = request->sequence;
    assert(request->state == SEQUENCE_RUNS && sequence->turn == request);
    request->state = SEQUENCE_NONE;
    request->sequence = NULL;
    sequence->turn = NULL;
    if (broken || request->ends) {
        end(sequences, sequence);
        leave_place(sequences, sequence);
    }
    settle(sequences, sequence, now_ns);
}

/* ---- time ---- */

/* When the first of a list has been there for too long. */
static uint64_t expires_ns(const struct sequences *sequences, const struct list *list)
{
    const struct list_link *first = list_first(list);
    if (!first)
        return CLOCK_NEVER;
    uint64_t since_ns = list_entry(first, struct sequence, link)->idle_since_ns;
    return since_ns > CLOCK_NEVER - sequences->idle_ns ? CLOCK_NEVER
                                                       : since_ns + sequences->idle_ns;
}

uint64_t sequences_expires_ns(const struct sequences *sequences)
{
    uint64_t idle_ns = expires_ns(sequences, &sequences->idle);
    uint64_t lost_ns = expires_ns(sequences, &sequences->lost);
    return idle_ns < lost_ns ? idle_ns : lost_ns;
}

static void expire(struct sequences *sequences, struct list *list, uint64_t now_ns)
{
    while (expires_ns(sequences, list) <= now_ns)
        forget(sequences, list_entry(list_first(list), struct sequence, link));
}

void sequences_expire(struct sequences *sequences, uint64_t now_ns)
{
    expire(sequences, &sequences->idle, now_ns);
    expire(sequences, &sequences->lost, now_ns);
}
