/* When a free slot waits a moment for company: clients that have just been answered often come
 * back at once, all of them, and the first to come should not be executed alone while the others
 * are on their way. A slot that took it would be busy with one row for nearly as long as with all.
 *
 * It waits only for rows that have been answered and may come back; only for its share of them, so
 * that other slots have theirs; and only as long as one comes shortly after the other: a sixteenth
 * of what an execution takes, and no more than a quarter of it in all. Where an execution is short,
 * it does not wait: a look at the clock would cost more than is gained.
 *
 * Pure; times are ns of one clock. */
#ifndef TENSORD_SCHEDULE_COMPANY_H
#define TENSORD_SCHEDULE_COMPANY_H

#include <stdint.h>

struct company {
    uint64_t answered_rows; /* that have not come back since */
    uint64_t last_ns;       /* when the last one was answered or came */
    uint64_t since_ns;      /* a slot has been waiting since then; 0: none is */
};

/* Rows have been answered; have come. */
void company_answered(struct company *company, uint64_t rows, uint64_t now_ns);
void company_came(struct company *company, uint64_t rows, uint64_t now_ns);

/* Until when a free slot waits, if nothing happens before; 0: it goes with what is there.
 * waiting_rows and running_rows are those there are now; slots may be used at once; the most rows
 * that are executed together; how long an execution of what waits takes, 0: not known. */
struct company_view {
    uint64_t waiting_rows, running_rows, slots, most_rows, execution_ns;
};

uint64_t company_until_ns(struct company *company, const struct company_view *view,
                          uint64_t now_ns);

#endif
