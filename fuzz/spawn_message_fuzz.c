/* The packets between front and spawner: what is read must be written back the same, as a message
 * has exactly one form. */
#include "worker/spawn_message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    struct span bytes = {(const char *)data, size};
    struct spawn_message message;
    if (spawn_message_read(bytes, &message)) {
        size_t written = spawn_message_write(&message, packet);
        assert(span_equal(bytes, (struct span){packet, written}));
        char text[64];
        assert(strlen(spawn_status_text(message.number, text, sizeof text)) > 0);
    }
    return 0;
}
