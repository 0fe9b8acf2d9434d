/* Registered shared memory; see regions.h.
 *
 * A region is in the table from the moment it is asked for, so that two of one name cannot be
 * opened at once; until its process has answered it has no descriptor, and nobody finds it. */
#include "regions/regions.h"

#include "regions/region_key.h"
#include "regions/region_open.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_RUNNING = 4, OWNER_BYTES = 8 };

struct region {
    struct list_link link; /* in regions->all */
    struct list_link opening;
    struct regions *regions;
    struct caller owner;
    uint64_t offset, size_bytes;
    int fd;       /* -1: it is being opened */
    size_t users; /* requests */
    /* While it is being opened. */
    struct region_wish *wish;
    struct worker_process process;
    int answer; /* the socket, or -1 */
    bool runs;
    /* Texts, in the same block. */
    struct span key, name, shm_key;
    char text[];
};

int region_fd(const struct region *region)
{
    return region->fd;
}

uint64_t region_offset(const struct region *region)
{
    return region->offset;
}

struct span region_name(const struct region *region)
{
    return region->name;
}

void regions_init(struct regions *regions, struct loop *loop, struct spawner_client *spawner,
                  unsigned task)
{
    *regions = (struct regions){.loop = loop, .spawner = spawner, .task = task};
    map_init(&regions->names);
    list_init(&regions->all);
    list_init(&regions->opening);
    list_init(&regions->copies);
}

/* ---- the table ---- */

/* What a region is found by: whose it is, then its name. `to` has OWNER_BYTES and the name's. */
static struct span write_key(struct caller owner, struct span name, char *to)
{
    uint32_t kind = (uint32_t)owner.kind;
    memcpy(to, &kind, sizeof kind);
    memcpy(to + sizeof kind, &owner.id, sizeof owner.id);
    if (name.size)
        memcpy(to + OWNER_BYTES, name.data, name.size);
    return (struct span){to, OWNER_BYTES + name.size};
}

static struct region *find(const struct regions *regions, struct caller owner, struct span name)
{
    char key[OWNER_BYTES + REGION_NAME_MAX_BYTES];
    return name.size > REGION_NAME_MAX_BYTES
               ? NULL
               : map_get(&regions->names, write_key(owner, name, key));
}

static void region_free(struct region *region)
{
    struct regions *regions = region->regions;
    map_remove(&regions->names, region->key);
    list_remove(&region->link);
    list_remove(&region->opening);
    regions->count--;
    if (region->fd >= 0)
        close(region->fd);
    if (region->answer >= 0)
        close(region->answer);
    free(region);
}

/* A region for the wish, in the table; NULL when there is no memory. */
static struct region *region_new(struct regions *regions, struct region_wish *wish)
{
    struct region *region = malloc(sizeof *region + OWNER_BYTES + wish->name.size + wish->key.size);
    if (!region)
        return NULL;
    *region = (struct region){
        .regions = regions,
        .owner = wish->owner,
        .offset = wish->offset,
        .size_bytes = wish->size_bytes,
        .fd = -1,
        .wish = wish,
        .answer = -1,
        .key = write_key(wish->owner, wish->name, region->text),
    };
    char *shm_key = region->text + region->key.size;
    memcpy(shm_key, wish->key.data, wish->key.size);
    region->name = span_after(region->key, OWNER_BYTES);
    region->shm_key = (struct span){shm_key, wish->key.size};
    if (!map_set(&regions->names, region->key, region)) {
        free(region);
        return NULL;
    }
    list_add(&regions->all, &region->link);
    regions->count++;
    return region;
}

/* ---- registering ---- */

static void start_waiting(struct regions *regions);

/* Tells how it went; a region that could not be opened goes first. */
static void end_opening(struct region *region, const struct error *error)
{
    struct region_wish *wish = region->wish;
    region->wish = NULL;
    list_remove(&region->opening);
    if (error->code != ERROR_OK)
        region_free(region);
    wish->done(wish, error); /* NOLINT(clang-analyzer-core.NullDereference): who opens it has one */
}

/* One sentence for whatever is in the way: what else lies in that folder is not the client's. */
static void cannot_open(const struct region *region, struct error *ret_error)
{
    error_set(ret_error, ERROR_INVALID_ARGUMENT,
              "Unable to open shared memory region: '%.*s': there must be such a POSIX shared "
              "memory object, and it must belong to the user that the server runs as",
              SPAN_ARGS(region->shm_key));
}

/* Takes what the process has sent before it ended. */
static void take_answer(struct region *region, bool started, const char *reason,
                        struct error *ret_error)
{
    uint64_t size;
    ret_error->code = ERROR_OK;
    if (!started) {
        log_error("regions", "shared memory cannot be opened: %s", reason);
        error_set(ret_error, ERROR_INTERNAL, "the process that opens shared memory has failed");
        return;
    }
    region->fd = region_open_take(region->answer, &size);
    close(region->answer);
    region->answer = -1;
    if (region->fd < 0)
        cannot_open(region, ret_error);
    else if (!region_part_fits(region->offset, region->size_bytes, size))
        error_set(ret_error, ERROR_INVALID_ARGUMENT,
                  "failed to register shared memory region '%.*s': invalid args: its offset and "
                  "byte_size go beyond the shared memory object",
                  SPAN_ARGS(region->name));
}

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    struct region *region = list_entry(process, struct region, process);
    struct regions *regions = region->regions;
    struct error error;
    regions->running--;
    region->runs = false;
    take_answer(region, started, reason, &error);
    end_opening(region, &error);
    start_waiting(regions);
}

static bool start(struct region *region, struct error *ret_error)
{
    struct regions *regions = region->regions;
    char path[sizeof REGION_FOLDER + 1 + REGION_KEY_MAX_BYTES];
    int pair[2];
    struct span file = region->shm_key;
    region_key_read(region->name, file, &file, NULL);
    snprintf(path, sizeof path, "%s/%.*s", REGION_FOLDER, SPAN_ARGS(file));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "out of descriptors");
    region->answer = pair[0];
    region->process.ended = on_ended;
    region->runs = spawner_run_task(regions->spawner, &region->process, regions->task, path,
                                    pair[1], ret_error);
    close(pair[1]);
    regions->running += region->runs;
    return region->runs;
}

static struct region *first_waiting(const struct regions *regions)
{
    list_each(link, &regions->opening)
    {
        struct region *region = list_entry(link, struct region, opening);
        if (!region->runs)
            return region;
    }
    return NULL;
}

/* One that cannot be started fails; others wait for one that runs, if one does. */
static void start_waiting(struct regions *regions)
{
    struct region *region;
    struct error error;
    while (regions->running < MAX_RUNNING && (region = first_waiting(regions))) {
        if (!start(region, &error))
            end_opening(region, &error);
    }
}

bool regions_register(struct regions *regions, struct region_wish *wish, struct error *ret_error)
{
    struct span file;
    if (!region_name_check(wish->name, ret_error) ||
        !region_key_read(wish->name, wish->key, &file, ret_error))
        return false;
    if (!region_part_fits(wish->offset, wish->size_bytes, INT64_MAX))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "failed to register shared memory region '%.*s': invalid args: byte_size "
                         "must be above 0, and offset + byte_size no more than a file may have",
                         SPAN_ARGS(wish->name));
    if (find(regions, wish->owner, wish->name))
        return error_set(ret_error, ERROR_ALREADY_EXISTS,
                         "shared memory region '%.*s' already in manager", SPAN_ARGS(wish->name));
    if (regions->count >= regions->limit) {
        limit_hit(LIMIT_max_shm_regions);
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "as many shared memory regions are registered as may be; unregister some");
    }
    struct region *region = region_new(regions, wish);
    if (!region)
        return error_no_memory(ret_error);
    if (regions->running < MAX_RUNNING && !start(region, ret_error)) {
        region_free(region);
        return false;
    }
    list_add(&regions->opening, &region->opening);
    return true;
}

/* ---- unregistering ---- */

/* One that is being opened is as good as not there. */
static bool is_there(const struct region *region)
{
    return region && !region->wish;
}

bool regions_unregister(struct regions *regions, struct caller owner, struct span name,
                        struct error *ret_error)
{
    struct region *region = find(regions, owner, name);
    if (!is_there(region))
        return true;
    if (region->users)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Cannot unregister shared memory region '%.*s', it is currently in use. "
                         "Unregister it when the requests that use it have been answered",
                         SPAN_ARGS(name));
    region_free(region);
    return true;
}

bool regions_unregister_all(struct regions *regions, struct caller owner, struct error *ret_error)
{
    char left[256] = "";
    size_t size = 0;
    list_each(link, &regions->all)
    {
        struct region *region = list_entry(link, struct region, link);
        if (!caller_equal(region->owner, owner) || !is_there(region))
            continue;
        if (!region->users) {
            region_free(region);
            continue;
        }
        int more = snprintf(left + size, sizeof left - size, "%s%.*s", size ? ", " : "",
                            SPAN_ARGS(region->name));
        size = size + (size_t)more < sizeof left ? size + (size_t)more : sizeof left - 1;
    }
    return !size || error_set(ret_error, ERROR_INVALID_ARGUMENT,
                              "Failed to unregister the following system shared memory regions: "
                              "%s: requests use them",
                              left);
}

/* ---- looking ---- */

static void fill_status(const struct region *region, struct region_status *ret_status)
{
    *ret_status =
        (struct region_status){region->name, region->shm_key, region->offset, region->size_bytes};
}

bool regions_next(const struct regions *regions, struct caller owner, struct list_link **position,
                  struct region_status *ret_status)
{
    struct list_link *link = *position ? (*position)->next : regions->all.head.next;
    for (; link != &regions->all.head; link = link->next) {
        const struct region *region = list_entry(link, struct region, link);
        if (!caller_equal(region->owner, owner) || !is_there(region))
            continue;
        *position = link;
        fill_status(region, ret_status);
        return true;
    }
    return false;
}

bool regions_status(const struct regions *regions, struct caller owner, struct span name,
                    struct region_status *ret_status, struct error *ret_error)
{
    const struct region *region = find(regions, owner, name);
    if (!is_there(region))
        return error_set(ret_error, ERROR_NOT_FOUND,
                         "Unable to find system shared memory region: '%.*s'", SPAN_ARGS(name));
    fill_status(region, ret_status);
    return true;
}

/* ---- using ---- */

struct region *region_use(const struct regions *regions, struct caller owner, struct span name,
                          uint64_t offset, uint64_t size_bytes, struct error *ret_error)
{
    struct region *region = find(regions, owner, name);
    const char *wrong = NULL;
    if (!is_there(region)) {
        error_set(ret_error, ERROR_NOT_FOUND, "Unable to find shared memory region: '%.*s'",
                  SPAN_ARGS(name));
        return NULL;
    }
    if (offset >= region->size_bytes)
        wrong = "offset";
    else if (size_bytes > region->size_bytes - offset)
        wrong = "offset + byte size";
    if (wrong) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "Invalid %s for shared memory region: '%.*s'",
                  wrong, SPAN_ARGS(name));
        return NULL;
    }
    region->users++;
    return region;
}

void region_leave(struct region *region)
{
    region->users--;
}
