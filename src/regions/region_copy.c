/* Moving bytes between regions and memory; see region_copy.h. */
#include "regions/region_copy.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static bool too_short(const struct region *region, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "shared memory region '%.*s' has become shorter than it was when it was "
                     "registered",
                     SPAN_ARGS(region_name(region)));
}

static bool not_writable(const struct region *region, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "shared memory region '%.*s' cannot be written: it was sealed, or there is no "
                     "memory for it",
                     SPAN_ARGS(region_name(region)));
}

/* Whether it still reaches so far: a write beyond its end would make it longer, which nobody has
 * asked for. */
static bool reaches(const struct region *region, uint64_t end)
{
    struct stat status;
    return fstat(region_fd(region), &status) == 0 && (uint64_t)status.st_size >= end;
}

/* A thread's: the region cannot go meanwhile, and its fields do not change. */
static bool move(const struct region_piece *piece, bool writes, struct error *ret_error)
{
    int fd = region_fd(piece->region);
    uint64_t start = region_offset(piece->region) + piece->offset, moved = 0;
    if (writes && !reaches(piece->region, start + piece->size_bytes))
        return too_short(piece->region, ret_error);
    while (moved < piece->size_bytes) {
        char *at = piece->memory + moved;
        size_t left = (size_t)(piece->size_bytes - moved);
        off_t offset = (off_t)(start + moved);
        ssize_t size = writes ? pwrite(fd, at, left, offset) : pread(fd, at, left, offset);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return writes ? not_writable(piece->region, ret_error)
                          : too_short(piece->region, ret_error);
        moved += (uint64_t)size;
    }
    return true;
}

static void run(struct loop_work *work)
{
    struct region_copy *copy = list_entry(work, struct region_copy, work);
    for (size_t i = 0; i < copy->count; i++) {
        if (!move(&copy->pieces[i], copy->writes, &copy->error))
            return;
    }
}

static void start_next(struct regions *regions);

static void done(struct loop_work *work)
{
    struct region_copy *copy = list_entry(work, struct region_copy, work);
    struct regions *regions = copy->regions;
    regions->copying--;
    copy->done(copy);
    start_next(regions);
}

static void start_next(struct regions *regions)
{
    while (regions->copying < REGION_COPIES && !list_empty(&regions->copies)) {
        struct region_copy *copy =
            list_entry(list_first(&regions->copies), struct region_copy, link);
        list_remove(&copy->link);
        regions->copying++;
        if (copy->error.code != ERROR_OK ||
            !loop_work_start(regions->loop, &copy->work, run, done, &copy->error))
            loop_work_skip(regions->loop, &copy->work, done);
    }
}

void region_copy_start(struct regions *regions, struct region_copy *copy)
{
    copy->regions = regions;
    copy->link = (struct list_link){.next = NULL};
    list_add(&regions->copies, &copy->link);
    start_next(regions);
}
