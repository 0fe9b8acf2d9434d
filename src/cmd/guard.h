/* The guard: keeps the gate (api/gate.h) as the settings and the state folder's token file say,
 * while the server runs.
 *
 * The token file is read at the start, and again whenever it changes: inotify says so at once, and
 * a look now and then finds what inotify does not see, as on a network file system. It is read on a
 * thread, since a disk may be slow. A file that cannot be taken leaves the tokens as they are. */
#ifndef TENSORD_CMD_GUARD_H
#define TENSORD_CMD_GUARD_H

#include "api/gate.h"
#include "net/loop.h"
#include "net/loop_work.h"
#include "settings/settings.h"

#include <limits.h>
#include <sys/stat.h>
#include <uv.h>

enum { GUARD_LIST_BYTES = 4096 };

struct guard {
    struct gate gate;
    char folder[PATH_MAX]; /* of state; empty: there is none, and no tokens */
    struct stat opened;    /* the folder, at the start */
    bool made;             /* this is the first start: an admin token was made */
    bool exposed;          /* other machines can reach the server */
    char hosts[GUARD_LIST_BYTES], origins[GUARD_LIST_BYTES]; /* the gate's lists */
    char forwarded[GUARD_LIST_BYTES];
    struct loop *loop;
    uint64_t rescan_ms;
    uv_fs_event_t watch;
    struct timer settle, rescan;
    struct loop_work work;
    bool reading, again; /* the file is being read; it changed meanwhile */
    /* The reader's, while it reads. */
    struct buf text;
    unsigned char hash[SECRET_HASH_BYTES]; /* of the text that was read last */
    enum { GUARD_SAME, GUARD_CHANGED, GUARD_UNREADABLE } found;
    struct error error;
};

/* Makes the gate from the settings and the token file, which a first start makes. Without a state
 * folder there are no tokens, and that is a warning only when nobody else than this machine may
 * come in anyway. Before the sandbox closes in. False with a sentence that says what to do. */
bool guard_open(struct guard *guard, const struct settings *settings, bool exposed,
                struct error *ret_error);

/* Puts those settings in force that a reload may change, and reads the token file again. What is
 * wrong goes into the log, and leaves everything as it is. */
void guard_reload(struct guard *guard, const struct settings *settings);

/* Watches the token file from now on. Before the sandbox closes in, which must let the folder be
 * read. */
bool guard_watch(struct guard *guard, struct loop *loop, const struct settings *settings,
                 struct error *ret_error);

/* When the server can be reached from other machines and nobody has a token for that yet, makes one
 * and says how to use it; once. url is where clients find the server. */
bool guard_introduce(struct guard *guard, const struct settings *settings, const char *url,
                     struct error *ret_error);

#endif
