/* See allowance.h. */
#include "schedule/allowance.h"

static const double FIRST = 0.25, LEAST = 0.05, MOST = 1;
static const double STEP = 0.04;
static const double ONE_IN = 50;

void allowance_init(struct allowance *allowance)
{
    allowance->more = FIRST;
}

uint64_t allowance_ns(const struct allowance *allowance, uint64_t foreseen_ns)
{
    double all_ns = (double)foreseen_ns * (1 + allowance->more);
    return all_ns < 1e18 ? (uint64_t)all_ns : UINT64_C(1000000000000000000);
}

void allowance_learn(struct allowance *allowance, uint64_t foreseen_ns, uint64_t waited_ns)
{
    double *more = &allowance->more;
    *more += waited_ns > allowance_ns(allowance, foreseen_ns) ? STEP : -STEP / (ONE_IN - 1);
    *more = *more < LEAST ? LEAST : *more;
    *more = *more > MOST ? MOST : *more;
}
