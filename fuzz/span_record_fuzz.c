/* What a front that was taken over might send to the exporter: records that are read are written
 * back the same, and become an OTLP request. */
#include "exporter/otlp.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span records = {(const char *)data, size};
    struct span_record record;
    struct error error;
    struct buf written, body;
    size_t record_size, bytes, count;
    bool broken;
    buf_init(&written, SPAN_RECORD_MAX_BYTES);
    buf_init(&body, 64 << 20);
    if (span_record_read(records, &record, &record_size, &broken)) {
        assert(!broken && record_size <= size);
        bool good = span_record_write(&written, &record);
        assert(good && written.size == record_size);
        assert(memcmp(written.data, data, record_size) == 0);
    }
    if (otlp_encode(records, 64, NULL, 0, &body, &bytes, &count, &error))
        assert(bytes <= size && count <= 64);
    buf_fini(&written);
    buf_fini(&body);
    return 0;
}
