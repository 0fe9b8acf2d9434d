/* Who waits for a load; see load_waiters.h. */
#include "serving/load_waiters.h"

#include "serving/generation.h"

/* Of a load for whose end nobody waits. */
static void settle_override(struct model *model, const struct error *error)
{
    const struct serving *serving = model->serving;
    uint64_t number = model->left_override;
    model->left_override = 0;
    if (number && error->code == ERROR_OK)
        serving->keep_override(serving->context, number);
    else if (number)
        serving->end_override(serving->context, number);
}

void load_waiters_tell(struct model *model, const struct error *error)
{
    model->urged = false;
    settle_override(model, error);
    for (struct list_link *link; (link = list_first(&model->waiters));) { /* others may leave */
        list_remove(link);
        struct model_waiter *waiter = list_entry(link, struct model_waiter, link);
        waiter->settled(waiter, error);
    }
}

/* Whether something is on its way that will be told by version_settle, or files are that the next
 * scans tell of; a version that restarts its worker is ready all the same. */
static bool is_settling(const struct version *version)
{
    return version->next || version_is_busy(version_state(version)) ||
           (version->present && !version->complete && !version->unreadable) ||
           (version->current && generation_is_settling(&version->current->state));
}

static void not_found_to_load(const struct model *model, struct error *ret_error)
{
    error_set(ret_error, ERROR_INVALID_ARGUMENT,
              "failed to load '%.*s', failed to poll from model repository",
              SPAN_ARGS(model->name));
}

void load_waiters_look(struct model *model)
{
    struct error error = {.code = ERROR_OK};
    if ((list_empty(&model->waiters) && !model->urged) ||
        model->serving->scan_number < model->awaited_scan)
        return;
    bool found = false;
    for (size_t i = 0; i < model->version_count; i++) {
        const struct version *version = model->versions[i];
        if (!version->present || version->held) /* it is about to go */
            continue;
        found = true;
        if (is_settling(version))
            return;
        if (!version_ready(version) || version->files_error.code != ERROR_OK || version->unreadable)
            error_set(&error, ERROR_INVALID_ARGUMENT, "failed to load '%.*s', version %llu: %s",
                      SPAN_ARGS(model->name), (unsigned long long)version->number,
                      version_reason(version));
    }
    if (!found)
        not_found_to_load(model, &error);
    else if (error.code == ERROR_OK)
        model_drop_held(model);
    load_waiters_tell(model, &error);
}
