/* Repeated lines; see log_guard.h. */
#include "telemetry/log_guard.h"

#include "telemetry/log.h"

/* The key's slot, or the oldest, taken over. */
static struct log_guard_slot *find(struct log_guard *guard, uint64_t key)
{
    struct log_guard_slot *oldest = &guard->slots[0];
    for (unsigned i = 0; i < LOG_GUARD_SLOTS; i++) {
        struct log_guard_slot *slot = &guard->slots[(key + i) % LOG_GUARD_SLOTS];
        if (slot->key == key)
            return slot;
        if (slot->key == 0) {
            oldest = slot;
            break;
        }
        if (slot->since_s < oldest->since_s)
            oldest = slot;
    }
    *oldest = (struct log_guard_slot){.key = key, .since_s = INT64_MIN};
    return oldest;
}

bool log_guard_admit(struct log_guard *guard, uint64_t key, int64_t now_s, uint32_t *ret_omitted)
{
    struct log_guard_slot *slot = find(guard, key);
    *ret_omitted = 0;
    if (slot->since_s == INT64_MIN || now_s - slot->since_s >= LOG_PERIOD_S) {
        *ret_omitted = slot->omitted;
        slot->since_s = now_s;
        slot->count = slot->omitted = 0;
    }
    if (slot->count >= LOG_REPEATS) {
        slot->omitted++;
        return false;
    }
    slot->count++;
    return true;
}
