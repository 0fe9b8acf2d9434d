/* Learning which batches a model likes; see learner.h. */
#include "schedule/learner.h"

#include <string.h>

enum {
    KNOWN_SAMPLES = 3,     /* make a point known */
    TRIAL_SAMPLES = 5,     /* end a trial */
    TRIAL_EXECUTIONS = 16, /* end it too: the point cannot be reached with what comes */
    FIRST_PAUSE = 8,
    CHANGED_PAUSE = 32, /* at most, after a change: on a machine of ups and downs there are many */
    LONGEST_PAUSE = 1024,
};

static const float SLACK = 1.02F; /* dearer than the cheapest, for less waiting */
static const float CHANGE = 1.5F;
static const float ALIKE = 2;           /* so many times of each other */
static const float TRIALS_COST = 0.02F; /* at most, of all time, */
static const float DEAR_PAUSE = 256;    /* by a pause that is no longer */

/* ---- sizes and widths ---- */

static unsigned log2_ceiling(uint64_t number)
{
    return number <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(number - 1);
}

static unsigned size_of(uint64_t rows)
{
    unsigned size = log2_ceiling(rows);
    return size < LEARNER_SIZES ? size : LEARNER_SIZES - 1;
}

static unsigned largest_size(const struct learner *learner)
{
    return size_of(learner->max_rows);
}

static unsigned largest_width(const struct learner *learner)
{
    unsigned width = log2_ceiling(learner->max_slots);
    return width < LEARNER_WIDTHS ? width : LEARNER_WIDTHS - 1;
}

/* The least that may be used. */
static unsigned least_width(const struct learner *learner)
{
    return learner->all_slots ? largest_width(learner) : 0;
}

/* The nearest width, on a scale of powers. */
static unsigned width_of(const struct learner *learner, double at_once)
{
    unsigned width = 0, largest = largest_width(learner);
    double bound = 1.414;
    while (width < largest && at_once > bound) {
        width++;
        bound *= 2;
    }
    return width;
}

static void use_point(struct learner *learner, unsigned size, unsigned width)
{
    learner->size = (uint8_t)size;
    learner->width = (uint8_t)width;
    learner->rows = size == largest_size(learner) ? learner->max_rows : UINT64_C(1) << size;
    learner->slots = width == largest_width(learner) ? learner->max_slots : UINT64_C(1) << width;
}

void learner_init(struct learner *learner, uint64_t max_rows, uint64_t max_slots, bool all_slots)
{
    memset(learner, 0, sizeof *learner);
    learner->max_rows = max_rows ? max_rows : 1;
    learner->max_slots = max_slots ? max_slots : 1;
    learner->all_slots = all_slots;
    use_point(learner, largest_size(learner), largest_width(learner));
}

/* ---- what is known ---- */

static float median(const float *values, size_t count)
{
    float sorted[LEARNER_SAMPLES] = {0};
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > values[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = values[i];
    }
    return sorted[count / 2];
}

/* With all samples there, the median is looked for at each third or fourth: models may be executed
 * a hundred thousand times a second. Returns whether it was. */
static bool add_sample(struct learner *learner, struct learner_cell *cell, float row_ns)
{
    cell->samples_ns[cell->next] = row_ns;
    cell->next = (uint8_t)((cell->next + 1) % LEARNER_SAMPLES);
    if (cell->count < LEARNER_SAMPLES)
        cell->count++;
    cell->seen = learner->executions;
    if (cell->count < KNOWN_SAMPLES || (cell->count == LEARNER_SAMPLES && cell->next % 4 != 0))
        return false;
    cell->row_ns = median(cell->samples_ns, cell->count);
    return true;
}

static float cheapest(const struct learner *learner)
{
    float row_ns = 0;
    for (unsigned size = 0; size <= largest_size(learner); size++) {
        for (unsigned width = least_width(learner); width <= largest_width(learner); width++) {
            float known = learner->cells[size][width].row_ns;
            if (known > 0 && (row_ns == 0 || known < row_ns))
                row_ns = known;
        }
    }
    return row_ns;
}

/* Whether something is known of larger batches. */
static bool knows_larger(const struct learner *learner, unsigned size)
{
    while (++size <= largest_size(learner)) {
        for (unsigned width = least_width(learner); width <= largest_width(learner); width++) {
            if (learner->cells[size][width].row_ns > 0)
                return true;
        }
    }
    return false;
}

/* Uses a point. Larger batches and more slots than anything is known of are used as they come: what
 * is free takes what waits until that is known to be dearer. */
static void settle(struct learner *learner, unsigned size, unsigned width)
{
    while (width < largest_width(learner) && learner->cells[size][width + 1].row_ns == 0)
        width++;
    use_point(learner, size, width);
    if (!knows_larger(learner, size))
        learner->rows = learner->max_rows;
}

/* Uses the smallest point that is cheap enough, of all that are known. */
static void choose(struct learner *learner)
{
    unsigned best_size = largest_size(learner), best_width = largest_width(learner);
    unsigned smallest = UINT8_MAX;
    float enough_ns = cheapest(learner) * SLACK;
    for (unsigned size = 0; size <= largest_size(learner); size++) {
        for (unsigned width = least_width(learner); width <= largest_width(learner); width++) {
            float known = learner->cells[size][width].row_ns;
            if (known > 0 && known <= enough_ns && size + width < smallest) {
                best_size = size;
                best_width = width;
                smallest = size + width;
            }
        }
    }
    settle(learner, best_size, best_width);
}

void learner_set_slots(struct learner *learner, uint64_t max_slots)
{
    learner->max_slots = max_slots ? max_slots : 1;
    learner->trial_left = 0; /* it was of other slots */
    learner->pause = 0;
    learner->next_trial = learner->executions;
    choose(learner);
}

/* ---- trials ---- */

/* The neighbour of the point in use that is worth a trial most: one that is not known, else the one
 * that was not seen for longest. False: it has none. */
static bool find_neighbour(const struct learner *learner, unsigned *ret_size, unsigned *ret_width)
{
    static const int steps[][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    const struct learner_cell *found = NULL;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int size = learner->size + steps[i][0], width = learner->width + steps[i][1];
        if (size < 0 || width < (int)least_width(learner) || size > (int)largest_size(learner) ||
            width > (int)largest_width(learner) ||
            (size > learner->size && learner->rows == learner->max_rows))
            continue; /* there is none, or it is tried as it comes */
        const struct learner_cell *cell = &learner->cells[size][width];
        if (found && (found->row_ns == 0 || (cell->row_ns > 0 && cell->seen >= found->seen)))
            continue;
        found = cell;
        *ret_size = (unsigned)size;
        *ret_width = (unsigned)width;
    }
    return found != NULL;
}

static void begin_trial(struct learner *learner)
{
    unsigned size, width;
    if (!find_neighbour(learner, &size, &width))
        return;
    learner->trial_left = TRIAL_EXECUTIONS;
    learner->trial_new = 0;
    learner->trial_size = (uint8_t)size;
    learner->trial_width = (uint8_t)width;
    learner->from_size = learner->size;
    learner->from_width = learner->width;
    learner->cells[size][width].count = learner->cells[size][width].next = 0;
    use_point(learner, size, width);
}

/* Whether the point that is tried is better than what was in use, by what was measured just now. */
static bool has_won(const struct learner *learner)
{
    float tried_ns = learner->cells[learner->trial_size][learner->trial_width].row_ns;
    float from_ns = learner->cells[learner->from_size][learner->from_width].row_ns;
    bool smaller =
        learner->trial_size + learner->trial_width < learner->from_size + learner->from_width;
    if (learner->trial_new < KNOWN_SAMPLES)
        return false;
    return smaller ? tried_ns <= from_ns * SLACK : tried_ns * SLACK < from_ns;
}

/* The pause after a trial that makes its cost a small part of the time. */
static uint64_t least_pause(const struct learner *learner)
{
    float tried_ns = learner->cells[learner->trial_size][learner->trial_width].row_ns;
    float from_ns = learner->cells[learner->from_size][learner->from_width].row_ns;
    if (learner->trial_new < KNOWN_SAMPLES || tried_ns <= from_ns)
        return 0;
    float pause = (float)learner->trial_new * (tried_ns / from_ns - 1) / TRIALS_COST;
    return (uint64_t)(pause < DEAR_PAUSE ? pause : DEAR_PAUSE);
}

/* Where a trial has won, the next follows at once; else after a pause, which doubles each time. */
static void end_trial(struct learner *learner)
{
    learner->trial_left = 0;
    learner->next_trial = learner->executions;
    if (has_won(learner)) {
        settle(learner, learner->trial_size, learner->trial_width);
    } else {
        settle(learner, learner->from_size, learner->from_width);
        if (learner->pause < LONGEST_PAUSE)
            learner->pause = learner->pause ? learner->pause * 2 : FIRST_PAUSE;
        learner->dear_pause = least_pause(learner);
        learner->next_trial += learner->pause;
    }
    learner->settled_ns = learner->cells[learner->size][learner->width].row_ns;
}

/* Whether the point in use costs something else than after the last trial: then others may, too. */
static bool has_changed(const struct learner *learner)
{
    float row_ns = learner->cells[learner->size][learner->width].row_ns;
    return learner->pause &&
           (row_ns > learner->settled_ns * CHANGE || row_ns * CHANGE < learner->settled_ns);
}

void learner_observe(struct learner *learner, uint64_t rows, double at_once, uint64_t duration_ns,
                     bool contended)
{
    unsigned size = size_of(rows), width = width_of(learner, at_once);
    learner->executions++;
    if (rows == 0 || at_once < 1 || duration_ns == 0)
        return;
    struct learner_cell *cell = &learner->cells[size][width];
    bool known = cell->row_ns > 0;
    bool learned =
        add_sample(learner, cell, (float)((double)duration_ns / ((double)rows * at_once)));
    if (learner->trial_left) {
        learner->trial_left--;
        if (size == learner->trial_size && width == learner->trial_width)
            learner->trial_new++;
        if (learner->trial_left == 0 || learner->trial_new == TRIAL_SAMPLES)
            end_trial(learner);
        return;
    }
    if (!learned || (largest_size(learner) == 0 && least_width(learner) == largest_width(learner)))
        return; /* nothing is new, or there is nothing to choose */
    if (!known)
        choose(learner);
    if (has_changed(learner)) {
        uint64_t pause = learner->dear_pause > CHANGED_PAUSE ? learner->dear_pause : CHANGED_PAUSE;
        learner->pause = learner->pause < pause ? learner->pause : pause;
        if (learner->next_trial > learner->executions + learner->pause)
            learner->next_trial = learner->executions + learner->pause;
        learner->settled_ns = learner->cells[learner->size][learner->width].row_ns;
    }
    if (contended && learner->executions >= learner->next_trial &&
        learner->cells[learner->size][learner->width].row_ns > 0)
        begin_trial(learner);
}

/* ---- foreseeing ---- */

/* What a row costs in batches of this size. Where that was not measured, a larger batch is taken to
 * cost what a smaller one does: too little waiting foreseen refuses nobody. */
static double row_ns_at(const struct learner *learner, unsigned size)
{
    for (unsigned smaller = size + 1; smaller-- > 0;) {
        float row_ns = 0;
        for (unsigned width = 0; width <= largest_width(learner); width++) {
            float known = learner->cells[smaller][width].row_ns;
            if (known > 0 && (row_ns == 0 || known < row_ns))
                row_ns = known;
        }
        if (row_ns > 0)
            return (double)row_ns / (double)(UINT64_C(1) << (size - smaller));
    }
    return 0;
}

static uint64_t as_ns(double ns)
{
    return ns < 1e18 ? (uint64_t)ns : UINT64_C(1000000000000000000);
}

uint64_t learner_wait_ns(const struct learner *learner, uint64_t rows)
{
    uint64_t batch = rows < learner->rows ? rows : learner->rows;
    return as_ns((double)rows * row_ns_at(learner, size_of(batch)));
}

uint64_t learner_row_ns(const struct learner *learner)
{
    return (uint64_t)row_ns_at(learner, size_of(learner->rows));
}

/* The median, where the last few are alike; else what a model takes depends on what it is asked,
 * and the next may be as fast as the fastest. */
static float expected(const struct learner_cell *cell)
{
    float fastest = cell->samples_ns[0];
    for (size_t i = 1; i < cell->count; i++)
        fastest = cell->samples_ns[i] < fastest ? cell->samples_ns[i] : fastest;
    return cell->row_ns <= fastest * ALIKE ? cell->row_ns : fastest;
}

/* Where so many rows were not measured, a larger execution takes no less than a smaller one. */
uint64_t learner_execution_ns(const struct learner *learner, uint64_t rows)
{
    unsigned size = size_of(rows);
    for (unsigned smaller = size + 1; smaller-- > 0;) {
        double counted = smaller == size ? (double)rows : (double)(UINT64_C(1) << smaller);
        for (unsigned width = learner->width + 1U; width-- > 0;) {
            const struct learner_cell *cell = &learner->cells[smaller][width];
            if (cell->row_ns > 0)
                return as_ns((double)expected(cell) * counted * (double)(UINT64_C(1) << width));
        }
    }
    return 0;
}

/* ---- over restarts ---- */

size_t learner_save(const struct learner *learner, struct learner_point ret_points[LEARNER_POINTS])
{
    size_t count = 0;
    for (unsigned size = 0; size < LEARNER_SIZES; size++) {
        for (unsigned width = 0; width < LEARNER_WIDTHS; width++) {
            if (learner->cells[size][width].row_ns > 0)
                ret_points[count++] = (struct learner_point){1U << size, 1U << width,
                                                             learner->cells[size][width].row_ns};
        }
    }
    return count;
}

void learner_restore(struct learner *learner, const struct learner_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned size = log2_ceiling(points[i].rows), width = log2_ceiling(points[i].slots);
        if (size >= LEARNER_SIZES || width >= LEARNER_WIDTHS || !(points[i].row_ns > 0) ||
            points[i].row_ns > 1e15F)
            continue;
        for (unsigned sample = 0; sample < KNOWN_SAMPLES; sample++)
            add_sample(learner, &learner->cells[size][width], points[i].row_ns);
    }
    choose(learner);
}
