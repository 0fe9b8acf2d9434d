/* Records of spans; see span_record.h. */
#include "telemetry/span_record.h"

struct span_record_head {
    uint32_t size; /* of the whole record */
    uint32_t flags;
    uint32_t status;
    int32_t grpc_status;
    uint64_t start_ns;
    uint64_t stages_ns[STAGE_COUNT];
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t parent_id[SPAN_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint16_t text_bytes[SPAN_TEXT_COUNT];
    uint16_t reserved; /* 0 */
};

_Static_assert(sizeof(struct span_record_head) == 128 &&
                   sizeof(struct span_record_head) + SPAN_TEXT_COUNT * SPAN_TEXT_MAX_BYTES <=
                       SPAN_RECORD_MAX_BYTES,
               "every record fits");

bool span_record_write(struct buf *to, const struct span_record *record)
{
    struct span_record_head head = {
        .size = sizeof head,
        .flags = record->flags,
        .status = record->status,
        .grpc_status = record->grpc_status,
        .start_ns = record->start_ns,
    };
    memcpy(head.stages_ns, record->stages_ns, sizeof head.stages_ns);
    memcpy(head.trace_id, record->trace_id, sizeof head.trace_id);
    memcpy(head.parent_id, record->parent_id, sizeof head.parent_id);
    memcpy(head.span_id, record->span_id, sizeof head.span_id);
    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++) {
        size_t size = record->texts[i].size;
        head.text_bytes[i] = (uint16_t)(size < SPAN_TEXT_MAX_BYTES ? size : SPAN_TEXT_MAX_BYTES);
        head.size += head.text_bytes[i];
    }
    char *room = buf_reserve(to, head.size);
    if (!room)
        return false;
    memcpy(room, &head, sizeof head);
    room += sizeof head;
    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++) {
        if (head.text_bytes[i])
            memcpy(room, record->texts[i].data, head.text_bytes[i]);
        room += head.text_bytes[i];
    }
    to->size += head.size;
    return true;
}

static bool is_sound(const struct span_record_head *head)
{
    size_t size = sizeof *head;
    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++) {
        if (head->text_bytes[i] > SPAN_TEXT_MAX_BYTES)
            return false;
        size += head->text_bytes[i];
    }
    return head->size == size && head->reserved == 0;
}

bool span_record_read(struct span bytes, struct span_record *ret_record, size_t *ret_size,
                      bool *ret_broken)
{
    struct span_record_head head;
    *ret_broken = false;
    if (bytes.size < sizeof head)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    *ret_broken = !is_sound(&head);
    if (*ret_broken || bytes.size < head.size)
        return false;
    struct span_record record = {
        .flags = head.flags,
        .status = head.status,
        .grpc_status = head.grpc_status,
        .start_ns = head.start_ns,
    };
    memcpy(record.stages_ns, head.stages_ns, sizeof head.stages_ns);
    memcpy(record.trace_id, head.trace_id, sizeof head.trace_id);
    memcpy(record.parent_id, head.parent_id, sizeof head.parent_id);
    memcpy(record.span_id, head.span_id, sizeof head.span_id);
    struct span rest = span_after(bytes, sizeof head);
    for (size_t i = 0; i < SPAN_TEXT_COUNT; i++) {
        record.texts[i] = (struct span){rest.data, head.text_bytes[i]};
        rest = span_after(rest, head.text_bytes[i]);
    }
    *ret_record = record;
    *ret_size = head.size;
    return true;
}
