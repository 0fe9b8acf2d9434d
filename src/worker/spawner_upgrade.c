/* Upgrades in place; see spawner_upgrade.h. What is handed over is text:
 *
 *     front PID SOCKET
 *     worker ID PID LAST_WORDS TELL_STARTED TELL_ENDED PASSED_LIMIT HAS_GROUP MEMORY_MIB STATUS
 *         REASON_SIZE
 *     REASON
 *     … */
#include "worker/spawner_upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "telemetry/log.h"
#include "worker/spawner_sockets.h"

#define HANDOVER_VARIABLE "TENSORD__UPGRADE_FD"

enum { HANDOVER_BYTES = 1 << 20, LINE_FIELDS = 10, EXIT_NOT_EXECUTED = 127 };

/* The arguments of the front's role, with another role in its place; NULL when there is no memory.
 */
static char **arguments_of_role(const struct spawner_options *options, const char *role)
{
    size_t count = 0;
    while (options->front_arguments[count])
        count++;
    char **arguments = calloc(count + 1, sizeof *arguments);
    if (!arguments)
        return NULL;
    memcpy(arguments, options->front_arguments, count * sizeof *arguments);
    arguments[1] = (char *)(uintptr_t)role;
    return arguments;
}

pid_t spawner_upgrade_check(const struct spawner_options *options)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    sigset_t none;
    sigemptyset(&none);
    char **arguments = arguments_of_role(options, "check");
    spawner_sockets_keep(options, true);
    if (arguments && spawner_sockets_export(options, -1) &&
        setenv(SPAWNER_UPGRADE_VERSION_VARIABLE, SPAWNER_UPGRADE_VERSION, 1) == 0 &&
        sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        execv(options->program, arguments);
    log_error("spawner", "cannot execute '%s': %s", options->program, strerrordesc_np(errno));
    _exit(EXIT_NOT_EXECUTED);
}

bool spawner_upgrade_understood(void)
{
    const char *version = getenv(SPAWNER_UPGRADE_VERSION_VARIABLE);
    return !version || strcmp(version, SPAWNER_UPGRADE_VERSION) == 0;
}

/* ---- handing over ---- */

/* Whether the descriptors that the front and its workers need stay open when a program is executed.
 */
static void keep_open(const struct spawner_front *front, int handover, bool keep)
{
    int flags = keep ? 0 : FD_CLOEXEC;
    fcntl(handover, F_SETFD, flags);
    fcntl(front->socket, F_SETFD, flags);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (front->slots[i].pid)
            fcntl(front->slots[i].last_words, F_SETFD, flags);
}

static void write_front(const struct spawner_front *front, struct buf *to)
{
    buf_printf(to, "front %d %d\n", front->pid, front->socket);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++) {
        const struct spawner_slot *slot = &front->slots[i];
        if (slot->id)
            buf_printf(to, "worker %" PRIu64 " %d %d %d %d %d %d %u %d %zu\n%s\n", slot->id,
                       slot->pid, slot->last_words, slot->tell_started, slot->tell_ended,
                       slot->passed_limit, slot->has_group, slot->memory_mib, slot->status,
                       strlen(slot->reason), slot->reason);
    }
}

/* The file in memory, or -1. */
static int handover_open(const struct spawner_front *front)
{
    struct buf text;
    buf_init(&text, HANDOVER_BYTES);
    write_front(front, &text);
    int fd = memfd_create("upgrade", MFD_CLOEXEC);
    if (fd >= 0 && (!buf_ok(&text) || write(fd, text.data, text.size) != (ssize_t)text.size ||
                    lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    buf_fini(&text);
    return fd;
}

void spawner_upgrade_execute(const struct spawner_options *options,
                             const struct spawner_front *front)
{
    char number[16];
    int fd = front->socket < 0 ? -1 : handover_open(front);
    char **arguments = fd < 0 ? NULL : arguments_of_role(options, "serve");
    if (arguments) {
        snprintf(number, sizeof number, "%d", fd);
        keep_open(front, fd, true);
        spawner_sockets_keep(options, true);
        if (setenv(HANDOVER_VARIABLE, number, 1) == 0 && spawner_sockets_export(options, -1))
            execv(options->program, arguments);
        keep_open(front, fd, false);
        spawner_sockets_keep(options, false);
        unsetenv(HANDOVER_VARIABLE);
        unsetenv(SPAWNER_SOCKETS_VARIABLE);
    }
    log_error("spawner", "cannot execute '%s': %s", options->program, strerrordesc_np(errno));
    free(arguments);
    if (fd >= 0)
        close(fd);
}

/* ---- taking over ---- */

/* Reads a line "WORD number …". False when it is anything else. */
static bool read_line(struct span *rest, struct span word, uint64_t *ret_numbers, size_t count)
{
    struct span line = span_split(rest, '\n');
    if (!span_equal(span_split(&line, ' '), word))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!span_to_u64(span_split(&line, ' '), &ret_numbers[i]))
            return false;
    }
    return line.data == NULL;
}

static bool read_worker(struct span *rest, struct spawner_slot *ret_slot)
{
    uint64_t numbers[LINE_FIELDS];
    if (!read_line(rest, SPAN("worker"), numbers, LINE_FIELDS))
        return false;
    uint64_t size = numbers[9];
    if (size >= sizeof ret_slot->reason || size >= rest->size)
        return false;
    *ret_slot = (struct spawner_slot){
        .id = numbers[0],
        .pid = (pid_t)numbers[1],
        .last_words = (int)numbers[2],
        .tell_started = numbers[3] != 0,
        .tell_ended = numbers[4] != 0,
        .has_scratch = true, /* it may; removing none does no harm */
        .passed_limit = numbers[5] != 0,
        .has_group = numbers[6] != 0,
        .memory_mib = (uint32_t)numbers[7],
        .status = (int)numbers[8],
    };
    memcpy(ret_slot->reason, rest->data, size);
    *rest = span_after(*rest, size + 1);
    return true;
}

static bool read_front(struct span text, const struct spawner_child *child,
                       struct spawner_front *ret_front)
{
    uint64_t numbers[2];
    struct spawner_slot *slots = calloc(SPAWN_MAX_WORKERS, sizeof *slots);
    bool good = slots && read_line(&text, SPAN("front"), numbers, 2);
    for (size_t i = 0; good && text.size; i++)
        good = i < SPAWN_MAX_WORKERS && read_worker(&text, &slots[i]);
    if (!good) {
        free(slots);
        return false;
    }
    *ret_front = (struct spawner_front){.child = child,
                                        .pid = (pid_t)numbers[0],
                                        .socket = (int)numbers[1],
                                        .settled = true,
                                        .adopted = true,
                                        .alive_ns = clock_now_ns(),
                                        .slots = slots};
    return true;
}

bool spawner_upgrade_adopt(struct spawner_front *front, const struct spawner_child *child)
{
    const char *number = getenv(HANDOVER_VARIABLE);
    uint64_t fd;
    if (!number || !span_to_u64(span_of(number), &fd) || fd > INT32_MAX)
        return false;
    unsetenv(HANDOVER_VARIABLE);
    struct buf text;
    buf_init(&text, HANDOVER_BYTES);
    char *room = buf_reserve(&text, HANDOVER_BYTES / 2);
    ssize_t size = room ? read((int)fd, room, HANDOVER_BYTES / 2) : -1;
    bool adopted = size > 0 && read_front((struct span){room, (size_t)size}, child, front);
    buf_fini(&text);
    if (adopted)
        keep_open(front, (int)fd, false);
    else
        log_error("spawner", "the older program handed over nothing that could be read");
    close((int)fd);
    return adopted;
}
