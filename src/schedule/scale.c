/* How many workers a model is to have; see scale.h. */
#include "schedule/scale.h"

static const double NEARLY_ALL = 0.9; /* of the slots' time, that is busy */
static const double COMFORTABLE = 0.6;

void scale_init(struct scale *scale, uint32_t min, uint32_t max, uint64_t short_ns,
                uint64_t idle_ns)
{
    *scale = (struct scale){
        .min = min, .max = max, .short_ns = short_ns, .idle_ns = idle_ns, .wanted = min};
}

/* So many would have been busy for that part of their time. */
static uint32_t needed_for(const struct scale *scale, double busy_slots, uint64_t slots)
{
    double workers = busy_slots / ((double)slots * COMFORTABLE);
    if (workers >= (double)scale->wanted)
        return scale->wanted;
    uint32_t whole = (uint32_t)workers;
    whole += (double)whole < workers;
    return whole > scale->min ? whole : scale->min;
}

static bool want_more(struct scale *scale, uint64_t now_ns)
{
    uint32_t more = scale->wanted / 2 ? scale->wanted / 2 : 1, left = scale->max - scale->wanted;
    scale->enough_ns = scale->needed_ns = now_ns;
    scale->needed = 0;
    scale->wanted += more < left ? more : left;
    return left > 0;
}

static bool want_fewer(struct scale *scale, uint64_t now_ns)
{
    scale->wanted = scale->needed > scale->min ? scale->needed : scale->min;
    scale->needed_ns = now_ns;
    scale->needed = 0;
    return true;
}

bool scale_look(struct scale *scale, const struct scale_load *load, uint64_t now_ns)
{
    uint64_t since_ns = now_ns - scale->looked_ns, busy_ns = load->busy_ns - scale->busy_ns;
    bool first = !scale->looked;
    scale->looked = true;
    scale->looked_ns = now_ns;
    scale->busy_ns = load->busy_ns;
    if (first)
        scale->enough_ns = scale->needed_ns = now_ns;
    if (first || since_ns == 0)
        return false;
    double busy_slots = (double)busy_ns / (double)since_ns;
    bool are_short = load->workers >= scale->wanted && load->waiting > 0 &&
                     busy_slots >= NEARLY_ALL * (double)(load->workers * load->slots);
    if (!are_short)
        scale->enough_ns = now_ns;
    uint32_t needed =
        load->waiting > 0 ? scale->wanted : needed_for(scale, busy_slots, load->slots);
    if (needed >= scale->wanted) {
        scale->needed_ns = now_ns;
        scale->needed = 0;
    } else if (needed > scale->needed) {
        scale->needed = needed;
    }
    if (now_ns - scale->enough_ns >= scale->short_ns)
        return want_more(scale, now_ns);
    return scale->wanted > scale->min && now_ns - scale->needed_ns >= scale->idle_ns &&
           want_fewer(scale, now_ns);
}
