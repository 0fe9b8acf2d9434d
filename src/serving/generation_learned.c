/* What a generation's scheduler has learned, kept for the next one of the same files: after an
 * unload, and, as the server writes it down, after a restart. */
#include "serving/generation.h"

static struct learned_subject subject_of(const struct generation *generation)
{
    const struct serving_options *options = &generation->version->model->serving->options;
    return (struct learned_subject){
        .model = generation->spec.name,
        .version = generation->spec.version,
        .fingerprint = generation->fingerprint,
        .processors = options->processors,
        .threads = options->threads,
    };
}

void generation_keep_learned(const struct generation *generation)
{
    struct learned_subject subject = subject_of(generation);
    residence_keep_learned(generation);
    if (generation->schedule.learner.executions > 0)
        learned_keep(&generation->version->model->serving->learned, &subject,
                     &generation->schedule.learner);
}

void generation_set_model(struct generation *generation, uint64_t max_rows, uint64_t max_slots)
{
    struct schedule *schedule = &generation->schedule;
    struct learned_subject subject = subject_of(generation);
    schedule_set_model(schedule, max_rows, max_slots);
    learned_recall(&generation->version->model->serving->learned, &subject, &schedule->learner);
}

void serving_keep_learned(struct serving *serving)
{
    size_t position = 0;
    struct map_slot slot;
    while (map_next(&serving->models, &position, &slot)) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++) {
            if (model->versions[i]->current)
                generation_keep_learned(model->versions[i]->current);
        }
    }
}
