/* Counting tensor memory; see admission.h. */
#include "serving/admission.h"

#include <assert.h>

enum { SMALL_SHARE = 1024 }; /* a request is small that needs less than this part of the limit */

void admission_init(struct admission *admission, uint64_t limit_bytes)
{
    *admission = (struct admission){.limit_bytes = limit_bytes};
    list_init(&admission->waiting);
}

uint64_t admission_most_bytes(const struct admission *admission)
{
    return admission->limit_bytes - admission->limit_bytes / 4;
}

static bool fits_limit(const struct admission *admission, uint64_t bytes)
{
    return bytes <= admission->limit_bytes - admission->held_bytes;
}

static bool fits_connection(const struct admission *admission, const struct admission_share *share)
{
    uint64_t most = admission_most_bytes(admission) / 2;
    return !share->connection || *share->connection == 0 ||
           (*share->connection < most && share->asked_bytes <= most - *share->connection);
}

static bool fits_common(const struct admission *admission, const struct admission_share *share)
{
    return share->asked_bytes <= admission_most_bytes(admission) - admission->common_bytes;
}

static bool fits_small(const struct admission *admission, uint64_t bytes)
{
    uint64_t part = admission->limit_bytes / 8;
    return bytes <= admission->limit_bytes / SMALL_SHARE && bytes <= part - admission->small_bytes;
}

/* Unforeseen room may have taken of the common part what was free there: then the share waits for
 * that to come back. */
static bool give(struct admission *admission, struct admission_share *share, bool small)
{
    if (!fits_limit(admission, share->asked_bytes))
        return false;
    share->small = small;
    share->held_bytes = share->asked_bytes;
    admission->held_bytes += share->asked_bytes;
    if (small) {
        admission->small_bytes += share->asked_bytes;
        return true;
    }
    admission->common_bytes += share->asked_bytes;
    if (share->connection)
        *share->connection += share->asked_bytes;
    return true;
}

bool admission_ask(struct admission *admission, struct admission_share *share, uint64_t bytes,
                   uint64_t *connection)
{
    assert(!share->held_bytes && !list_linked(&share->link));
    assert(bytes <= admission_most_bytes(admission));
    share->asked_bytes = bytes;
    share->connection = connection;
    if (list_empty(&admission->waiting) && fits_common(admission, share) &&
        fits_connection(admission, share) && give(admission, share, false))
        return true;
    if (fits_small(admission, bytes) && give(admission, share, true))
        return true;
    list_add(&admission->waiting, &share->link);
    admission->waiting_count++;
    return false;
}

bool admission_grow(struct admission *admission, struct admission_share *share, uint64_t bytes)
{
    assert(!list_linked(&share->link));
    if (!fits_limit(admission, bytes))
        return false;
    share->held_bytes += bytes;
    admission->held_bytes += bytes;
    return true;
}

static void stop_waiting(struct admission *admission, struct admission_share *share)
{
    list_remove(&share->link);
    admission->waiting_count--;
}

void admission_disconnect(struct admission_share *share)
{
    if (share->connection && !share->small && share->held_bytes)
        *share->connection -= share->asked_bytes;
    share->connection = NULL;
}

void admission_leave(struct admission *admission, struct admission_share *share)
{
    if (list_linked(&share->link)) {
        stop_waiting(admission, share);
    } else if (share->held_bytes) {
        admission_disconnect(share);
        uint64_t *part = share->small ? &admission->small_bytes : &admission->common_bytes;
        assert(*part >= share->asked_bytes && admission->held_bytes >= share->held_bytes);
        *part -= share->asked_bytes;
        admission->held_bytes -= share->held_bytes;
    }
    *share = (struct admission_share){0};
}

void admission_pass(struct admission *admission, struct admission_share *share, uint64_t bytes,
                    struct admission_share *to)
{
    assert(bytes <= share->held_bytes && !to->held_bytes && !list_linked(&share->link));
    admission_leave(admission, share);
    to->held_bytes = bytes;
    admission->held_bytes += bytes;
}

struct admission_share *admission_next(struct admission *admission)
{
    list_each(link, &admission->waiting)
    {
        struct admission_share *share = list_entry(link, struct admission_share, link);
        if (!fits_connection(admission, share))
            continue; /* it waits for its own connection, and nobody for it */
        if (!fits_common(admission, share) || !give(admission, share, false))
            return NULL;
        stop_waiting(admission, share);
        return share;
    }
    return NULL;
}
