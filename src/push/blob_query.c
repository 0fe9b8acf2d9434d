/* Which blobs are there; see blobs.h. */
#include "push/blobs_private.h"

#include <fcntl.h>
#include <sys/stat.h>

/* One that no model consists of yet was asked for: it is as good as new. The time of others is part
 * of what their models are known by. */
static void keep(int folder, const char *name, const struct stat *status)
{
    if (status->st_nlink == 1)
        utimensat(folder, name, NULL, AT_SYMLINK_NOFOLLOW);
}

static void ask_thread(struct loop_work *work)
{
    struct blob_query *query = list_entry(work, struct blob_query, work);
    int folder = query->blobs->folder;
    for (size_t i = 0; i < query->count; i++) {
        struct blob_asked *asked = &query->asked[i];
        char part[PART_NAME_BYTES];
        struct stat status;
        asked->have_bytes = 0;
        asked->missing = fstatat(folder, asked->digest.text, &status, AT_SYMLINK_NOFOLLOW) != 0;
        if (!asked->missing)
            keep(folder, asked->digest.text, &status);
        else if (fstatat(folder, blob_part_name(&asked->digest, part), &status,
                         AT_SYMLINK_NOFOLLOW) == 0)
            asked->have_bytes = (uint64_t)status.st_size;
    }
}

static void asked(struct loop_work *work)
{
    struct blob_query *query = list_entry(work, struct blob_query, work);
    query->done(query);
}

bool blob_query_begin(struct blob_query *query, struct error *ret_error)
{
    return loop_work_start(query->blobs->loop, &query->work, ask_thread, asked, ret_error);
}
