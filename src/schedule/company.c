/* See company.h. */
#include "schedule/company.h"

enum { GAP_PART = 16, WHOLE_PART = 4 };

static const uint64_t SHORTEST_GAP_NS = 20000;

void company_answered(struct company *company, uint64_t rows, uint64_t now_ns)
{
    company->answered_rows += rows;
    company->last_ns = now_ns;
}

void company_came(struct company *company, uint64_t rows, uint64_t now_ns)
{
    company->answered_rows -= rows < company->answered_rows ? rows : company->answered_rows;
    company->last_ns = now_ns;
}

/* A slot's share of all rows that are about. */
static uint64_t share_of(const struct company *company, const struct company_view *view)
{
    uint64_t all = company->answered_rows + view->waiting_rows + view->running_rows;
    uint64_t share = (all + view->slots - 1) / view->slots;
    return share < view->most_rows ? share : view->most_rows;
}

uint64_t company_until_ns(struct company *company, const struct company_view *view, uint64_t now_ns)
{
    uint64_t gap_ns = view->execution_ns / GAP_PART, until_ns = company->last_ns + gap_ns;
    if (company->answered_rows > 0 && gap_ns >= SHORTEST_GAP_NS &&
        view->waiting_rows < share_of(company, view)) {
        company->since_ns = company->since_ns ? company->since_ns : now_ns;
        uint64_t latest_ns = company->since_ns + view->execution_ns / WHOLE_PART;
        until_ns = until_ns < latest_ns ? until_ns : latest_ns;
        if (until_ns > now_ns)
            return until_ns;
        company->answered_rows = 0; /* they do not come back */
    }
    company->since_ns = 0;
    return 0;
}
