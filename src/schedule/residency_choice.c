/* What models in memory are worth, and which of them go; see residency_choice.h. */
#include "schedule/residency_choice.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* a - b, or 0. */
static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct residency_claim *claim_of(struct list_link *link)
{
    return list_entry(link, struct residency_claim, link);
}

/* ---- value ---- */

/* Halves with each half-life; between two halvings it falls in a line. */
uint64_t residency_uses(const struct residency_claim *claim, uint64_t now_ns)
{
    uint64_t passed_ns = less(now_ns, claim->counted_ns);
    uint64_t halvings = passed_ns / RESIDENCY_HALF_LIFE_NS;
    if (halvings >= 64)
        return 0;
    uint64_t uses = claim->uses >> halvings, half = uses / 2;
    double part = (double)(passed_ns % RESIDENCY_HALF_LIFE_NS) / (double)RESIDENCY_HALF_LIFE_NS;
    return uses - (uint64_t)((double)half * part);
}

/* Seconds of loading saved, for each byte of that size. */
static double value_for(const struct residency_claim *claim, uint64_t bytes, uint64_t now_ns)
{
    double saved = (double)residency_uses(claim, now_ns) / (double)RESIDENCY_ONE_USE *
                   ((double)claim->figures.load_ns / (double)CLOCK_NS_PER_S);
    return saved / (double)(bytes ? bytes : 1);
}

double residency_value(const struct residency_claim *claim, uint64_t now_ns)
{
    static const double gib = 1 << 30;
    struct residency_size size = claim->held.bytes ? claim->held : residency_need(claim);
    return value_for(claim, size.bytes, now_ns) * gib;
}

/* ---- who leaves ---- */

bool residency_is_short(const struct residency_shortage *shortage)
{
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++)
        if (shortage->bytes[place])
            return true;
    return false;
}

/* What the claim holds of what is lacking. */
static uint64_t helps(const struct residency_claim *claim,
                      const struct residency_shortage *shortage)
{
    uint64_t bytes = smaller(claim->held.bytes, shortage->bytes[0]);
    if (claim->device)
        bytes += smaller(claim->held.device_bytes, shortage->bytes[claim->device]);
    return bytes;
}

static void relieve(struct residency_shortage *shortage, const struct residency_claim *claim)
{
    shortage->bytes[0] = less(shortage->bytes[0], claim->held.bytes);
    if (claim->device)
        shortage->bytes[claim->device] =
            less(shortage->bytes[claim->device], claim->held.device_bytes);
}

static bool may_go(const struct residency_claim *claim, const struct residency_choice *choice)
{
    bool pinned = claim->pinned && !(choice->wanted && choice->wanted->model == claim->model);
    return claim->state == RESIDENCY_STAYS && !claim->chosen && !pinned &&
           (!claim->busy ||
            (choice->busy && !claim->draining && claim->since_ns <= choice->loaded_before_ns));
}

/* The idle go before the busy, then those of less value, then those that were used before. */
static bool goes_before(const struct residency_claim *a, const struct residency_claim *b,
                        const struct residency_shortage *shortage,
                        const struct residency_choice *choice, bool by_idle)
{
    if (by_idle && a->busy != b->busy)
        return b->busy;
    double value_a = value_for(a, helps(a, shortage), choice->now_ns);
    double value_b = value_for(b, helps(b, shortage), choice->now_ns);
    return value_a < value_b || (value_a <= value_b && a->used_ns < b->used_ns);
}

static struct residency_claim *choose_one(const struct residency *residency,
                                          const struct residency_shortage *shortage,
                                          const struct residency_choice *choice, bool by_idle)
{
    struct residency_claim *least = NULL;
    list_each(link, &residency->claims)
    {
        struct residency_claim *claim = claim_of(link);
        if (may_go(claim, choice) && helps(claim, shortage) &&
            (!least || goes_before(claim, least, shortage, choice, by_idle)))
            least = claim;
    }
    return least;
}

static bool is_enough(const struct residency *residency, struct residency_shortage shortage)
{
    list_each(link, &residency->claims)
    {
        if (claim_of(link)->chosen)
            relieve(&shortage, claim_of(link));
    }
    return !residency_is_short(&shortage);
}

/* Those chosen, of which the last ones were the most valuable, are as few as will do. */
static void spare(const struct residency *residency, const struct residency_shortage *shortage)
{
    for (struct list_link *link = residency->claims.head.next; link != &residency->claims.head;
         link = link->next) {
        struct residency_claim *claim = claim_of(link);
        if (!claim->chosen)
            continue;
        claim->chosen = false;
        claim->chosen = !is_enough(residency, *shortage);
    }
}

/* Marks those that are to go, the least valuable; false when all would not do. */
bool residency_choose(const struct residency *residency, const struct residency_shortage *shortage,
                      const struct residency_choice *choice, bool by_idle)
{
    struct residency_shortage left = *shortage;
    list_each(link, &residency->claims)
    {
        claim_of(link)->chosen = false;
    }
    while (residency_is_short(&left)) {
        struct residency_claim *claim = choose_one(residency, &left, choice, by_idle);
        if (!claim)
            return false;
        claim->chosen = true;
        relieve(&left, claim);
    }
    spare(residency, shortage);
    return true;
}

/* The first that was chosen and is busy, or is idle. */
struct residency_claim *residency_chosen(const struct residency *residency, bool busy)
{
    list_each(link, &residency->claims)
    {
        struct residency_claim *claim = claim_of(link);
        if (claim->chosen && claim->busy == busy)
            return claim;
    }
    return NULL;
}
