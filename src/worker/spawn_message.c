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
    for (size_t i = 0; i < size; i++)
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

static bool has_number(enum spawn_type type)
{
    return type == SPAWN_STARTED || type == SPAWN_ENDED || type == SPAWN_TASK;
}

/* The others are about the front itself. */
static bool has_id(enum spawn_type type)
{
    return type < SPAWN_READY || type == SPAWN_TASK || type == SPAWN_EXPORT || type == SPAWN_SERVER;
}

size_t spawn_message_write(const struct spawn_message *message, char to[SPAWN_MESSAGE_MAX_BYTES])
{
    assert(message->text.size <= SPAWN_TEXT_MAX_BYTES);
    assert(message->interpreter.size <= SPAWN_TEXT_MAX_BYTES);
    put(to, message->type, 1);
    put(to + 1, message->network, 1);
    put(to + 2, message->text.size, 2);
    put(to + 4,
        has_interpreter(message->type) ? message->interpreter.size : (uint32_t)message->number, 4);
    put(to + 8, message->id, 8);
    if (message->text.size)
        memcpy(to + SPAWN_HEAD_BYTES, message->text.data, message->text.size);
    if (message->interpreter.size)
        memcpy(to + SPAWN_HEAD_BYTES + message->text.size, message->interpreter.data,
               message->interpreter.size);
    return SPAWN_HEAD_BYTES + message->text.size + message->interpreter.size;
}

/* The texts that follow the head are of these sizes, and could be paths. */
static bool take_texts(struct span rest, uint64_t text_size, struct spawn_message *message)
{
    if (text_size > rest.size || text_size > SPAWN_TEXT_MAX_BYTES ||
        rest.size - text_size > SPAWN_TEXT_MAX_BYTES || memchr(rest.data, '\0', rest.size))
        return false;
    message->text = (struct span){rest.data, text_size};
    message->interpreter = span_after(rest, text_size);
    if (!has_interpreter(message->type))
        return message->interpreter.size == 0;
    bool sized = message->interpreter.size == (uint32_t)message->number;
    message->number = 0;
    return sized;
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
    if (has_text(message.type) != (message.text.size > 0))
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
