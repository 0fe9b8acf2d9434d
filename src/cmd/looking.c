/* The front's eye on the repository; see looking.h. */
#include "cmd/looking.h"

#include "cmd/tasks.h"
#include "telemetry/log.h"

#include <string.h>

/* ---- a look ---- */

/* Asks for the models that --load-model names. Not from within on_scan: it asks for a scan. */
static void load_named(struct loop_task *task)
{
    struct looking *looking = list_entry(task, struct looking, load_named);
    struct serving *serving = looking->serving;
    const struct setting_list *names = &looking->settings->load_model;
    for (size_t i = 0; i < names->count; i++) {
        size_t position = 0;
        struct map_slot slot;
        bool all = strcmp(names->items[i], "*") == 0;
        while (all && map_next(&serving->models, &position, &slot))
            model_load(slot.value, NULL);
        struct model *model = all ? NULL : map_get(&serving->models, span_of(names->items[i]));
        if (model)
            model_load(model, NULL);
        else if (!all)
            log_error("front", "there is no model '%s', which --load-model names", names->items[i]);
    }
}

/* The scan under the name that --model-name gives to the one model there is. */
static void rename_model(const struct repository_scan *scan, struct span name)
{
    for (size_t i = 0; i < scan->version_count && name.size; i++) {
        if (!span_equal(scan->versions[i].model, scan->versions[0].model)) {
            log_warning("front", "--model-name is for one model, but there are several");
            return;
        }
    }
    for (size_t i = 0; i < scan->version_count && name.size; i++)
        scan->versions[i].model = name;
}

static void take_in(struct looking *looking, const struct repository_scan *scan)
{
    bool first = !looking->serving->scanned;
    rename_model(scan, span_of(looking->settings->model_name));
    serving_apply(looking->serving, scan);
    if (first && looking->settings->load_model.count)
        loop_defer(looking->loop, &looking->load_named); /* another scan will follow */
    looking->taken_in(first);
}

static void on_scan(void *context, const struct repository_scan *scan)
{
    struct looking *looking = context;
    if (scan)
        take_in(looking, scan);
    else
        serving_unreadable(looking->serving);
    installer_looked(&looking->pushing->installer, repository_watch_number(looking->watch));
}

static void on_looked(struct worker_process *process, bool started, const char *reason)
{
    struct looking *looking = list_entry(process, struct looking, look);
    if (!started)
        log_error("repository", "%s", reason);
    repository_watch_looked(looking->watch);
}

static bool start_look(void *context, const char *path, int fd, struct error *ret_error)
{
    struct looking *looking = context;
    looking->look.ended = on_looked;
    return spawner_run_task(looking->spawner, &looking->look, TASK_LOOK, path, fd, ret_error);
}

/* ---- what serving and pushing ask for ---- */

static uint64_t on_rescan(void *context)
{
    struct looking *looking = context;
    return repository_watch_rescan(looking->watch);
}

static uint64_t on_override(void *context, const struct repository_override *override,
                            struct error *ret_error)
{
    struct looking *looking = context;
    uint64_t number = repository_watch_override(looking->watch, override, ret_error);
    if (number && override->folder.size) /* until on_dropped */
        loads_hold(&looking->pushing->loads, override->folder);
    return number;
}

static void on_override_kept(void *context, uint64_t number)
{
    struct looking *looking = context;
    repository_watch_keep_override(looking->watch, number);
}

static void on_override_end(void *context, uint64_t number)
{
    struct looking *looking = context;
    repository_watch_end_override(looking->watch, number);
    repository_watch_rescan(looking->watch);
}

static void on_dropped(void *context, struct span folder)
{
    struct looking *looking = context;
    struct load_folder *held = loads_hold(&looking->pushing->loads, folder);
    load_folder_unref(held); /* of just now */
    load_folder_unref(held);
}

static void *on_hold_files(void *context, struct span path)
{
    struct looking *looking = context;
    return loads_hold(&looking->pushing->loads, path);
}

static void on_release_files(void *held)
{
    load_folder_unref(held);
}

/* What was pushed counts from now on, whatever a load gave before. */
static uint64_t on_installed(void *context, struct span model, struct span entry)
{
    struct looking *looking = context;
    const struct repository_override none = {.model = model};
    repository_watch_override(looking->watch, &none, NULL);
    return repository_watch_changed(looking->watch, entry);
}

/* ---- beginning ---- */

void looking_init(struct looking *looking)
{
    struct serving *serving = looking->serving;
    struct installer *installer = &looking->pushing->installer;
    looking->load_named.run = load_named;
    serving->context = installer->context = looking;
    serving->rescan = on_rescan;
    serving->override = on_override;
    serving->end_override = on_override_end;
    serving->keep_override = on_override_kept;
    serving->hold_files = on_hold_files;
    serving->release_files = on_release_files;
    installer->changed = on_installed;
}

bool looking_start(struct looking *looking, const char *path, struct error *ret_error)
{
    const struct repository_looker looker = {start_look, looking};
    looking->watch =
        repository_watch_open(looking->loop, path, (uint64_t)looking->settings->rescan_ms, &looker,
                              on_scan, looking, ret_error);
    if (looking->watch)
        repository_watch_on_dropped(looking->watch, on_dropped);
    return looking->watch != NULL;
}

void looking_again(struct looking *looking)
{
    if (looking->watch)
        repository_watch_rescan(looking->watch);
}
