/* The messages between the front and the spawner; see spawn_message.h. Bytes are written one by
 * one, so that neither alignment nor a struct's padding is ever a question. */
#include "worker/spawn_message.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static void put(char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(unsigned char)(value >> (8 * i));
}

static uint64_t get(const char *from, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) /* -Wanalyzer-null-dereference: as much was received */
        value |= (uint64_t)(unsigned char)from[i] << (8 * i);
    return value;
}

static bool has_text(enum spawn_type type)
{
    return type == SPAWN_START || type == SPAWN_SERVER || type == SPAWN_TASK ||
           type == SPAWN_NOT_STARTED;
}

static bool has_interpreter(enum spawn_type type)
{
    return type == SPAWN_START || type == SPAWN_SERVER;
}

static bool may_have_text(enum spawn_type type)
{
    return has_text(type) || type == SPAWN_ENDED;
}

static bool has_number(enum spawn_type type)
{
    return type == SPAWN_STARTED || type == SPAWN_ENDED || type == SPAWN_TASK;
}

/* The others are about the front itself. */
static bool has_id(enum spawn_type type)
{
    return type < SPAWN_READY || type == SPAWN_TASK || type == SPAWN_EXPORT || type == SPAWN_SERVER;
}

/* The limits in the order in which they are sent. */
enum { LIMIT_COUNT = 6 };

static char *put_limits(char *to, const struct process_limits *limits)
{
    const uint32_t values[LIMIT_COUNT] = {limits->memory_mib, limits->scratch_mib,
                                          limits->pids,       limits->cpu_percent,
                                          limits->gpus,       limits->only_gpu};
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        put(to + 4 * i, values[i], 4);
    for (size_t i = 0; i < CPU_LIST_WORDS; i++)
        put(to + 4 * LIMIT_COUNT + 8 * i, limits->cpus.words[i], 8);
    return to + SPAWN_LIMITS_BYTES;
}

static struct process_limits get_limits(const char *from)
{
    uint32_t values[LIMIT_COUNT];
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        values[i] = (uint32_t)get(from + 4 * i, 4);
    struct process_limits limits = {values[0], values[1], values[2], values[3],
                                    values[4], values[5], {{0}}};
    for (size_t i = 0; i < CPU_LIST_WORDS; i++)
        limits.cpus.words[i] = get(from + 4 * LIMIT_COUNT + 8 * i, 8);
    return limits;
}

_Static_assert((int)LIMIT_COUNT * 4 + 8 * (int)CPU_LIST_WORDS == (int)SPAWN_LIMITS_BYTES,
               "all limits cross");

static char *append(char *to, struct span text)
{
    if (text.size)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

size_t spawn_message_write(const struct spawn_message *message, char to[SPAWN_MESSAGE_MAX_BYTES])
{
    assert(message->text.size <= SPAWN_TEXT_MAX_BYTES);
    assert(message->interpreter.size <= SPAWN_TEXT_MAX_BYTES);
    assert(message->model.size <= SPAWN_TEXT_MAX_BYTES);
    put(to, message->type, 1);
    put(to + 1, message->network, 1);
    put(to + 2, message->text.size, 2);
    bool starts = has_interpreter(message->type);
    size_t more = SPAWN_LIMITS_BYTES + message->interpreter.size + 1 + message->model.size;
    put(to + 4, starts ? more : (uint32_t)message->number, 4);
    put(to + 8, message->id, 8);
    char *end = append(to + SPAWN_HEAD_BYTES, message->text);
    if (starts) {
        end = put_limits(end, &message->limits);
        end = append(end, message->interpreter);
        *end++ = '\0';
        end = append(end, message->model);
    }
    return (size_t)(end - to);
}

static bool is_text(struct span text)
{
    /* -Wanalyzer-null-argument: only an empty span has no data */
    return text.size <= SPAWN_TEXT_MAX_BYTES && (!text.size || !memchr(text.data, '\0', text.size));
}

/* The texts that follow the head are such as their type has. */
static bool take_texts(struct span rest, uint64_t text_size, struct spawn_message *message)
{
    if (text_size > rest.size)
        return false;
    message->text = (struct span){rest.data, text_size};
    rest = span_after(rest, text_size);
    if (!has_interpreter(message->type))
        return is_text(message->text) && rest.size == 0;
    if (rest.size != (uint32_t)message->number || rest.size <= SPAWN_LIMITS_BYTES)
        return false;
    message->number = 0;
    message->limits = get_limits(rest.data);
    rest = span_after(rest, SPAWN_LIMITS_BYTES);
    const char *end = rest.size ? memchr(rest.data, '\0', rest.size) : NULL;
    if (!end)
        return false;
    message->interpreter = (struct span){rest.data, (size_t)(end - rest.data)};
    message->model = span_after(rest, message->interpreter.size + 1);
    return is_text(message->text) && is_text(message->interpreter) && is_text(message->model);
}

bool spawn_message_read(struct span packet, struct spawn_message *ret_message)
{
    if (packet.size < SPAWN_HEAD_BYTES || packet.size > SPAWN_MESSAGE_MAX_BYTES)
        return false;
    uint64_t type = get(packet.data, 1);
    uint64_t flags = get(packet.data + 1, 1);
    if (type < SPAWN_START || type >= SPAWN_TYPE_END || flags > (type == SPAWN_SERVER))
        return false;
    struct spawn_message message = {
        .type = (enum spawn_type)type,
        .number = (int32_t)(uint32_t)get(packet.data + 4, 4),
        .id = get(packet.data + 8, 8),
        .network = flags != 0,
    };
    if (!take_texts(span_after(packet, SPAWN_HEAD_BYTES), get(packet.data + 2, 2), &message) ||
        has_id(message.type) != (message.id != 0))
        return false;
    if (message.text.size ? !may_have_text(message.type) : has_text(message.type))
        return false;
    if (!has_number(message.type) && message.number != 0)
        return false;
    *ret_message = message;
    return true;
}

char *spawn_status_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status),
                 sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    return text;
}
