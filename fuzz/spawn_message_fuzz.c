/* The packets between front and spawner: the input itself, and the largest one, which the input
 * edits. What is read must be written back the same, as a message has exactly one form. */
#include "worker/spawn_message.h"

#include "edits.h"

#include <assert.h>

static void check(struct span bytes)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    struct spawn_message message;
    if (spawn_message_read(bytes, &message)) {
        size_t written = spawn_message_write(&message, packet);
        assert(span_equal(bytes, (struct span){packet, written}));
        char text[64];
        assert(strlen(spawn_status_text(message.number, text, sizeof text)) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spawn_message sample = {
        .type = SPAWN_SERVER,
        .id = 7,
        .text = SPAN("/models"),
        .interpreter = SPAN("/usr/bin/python3"),
        .model = SPAN("/models/app"),
        .limits = {.memory_mib = 64, .pids = 9, .cpu_percent = 50},
        .network = true,
    };
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    size_t written = spawn_message_write(&sample, packet);
    written = edits_apply(packet, written, data, size);
    check((struct span){packet, written});
    check((struct span){(const char *)data, size});
    return 0;
}
