/* Tensors as JSON: the first byte chooses the datatype, the rest is the text. What is read with the
 * shape that was found must be written, and read again as the same bytes. */
#include "base/buf.h"
#include "codec/tensor_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TENSOR_BYTES = 1 << 22 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Nested as the shape says, it reads back too; a tensor without elements is written as []. */
static void write_nested(enum tensord_datatype datatype, const struct shape *shape,
                         struct room tensor)
{
    struct buf buf;
    struct json_writer writer;
    struct json json;
    struct error error;
    struct span rest = {tensor.data, tensor.size};
    struct room again = {malloc(tensor.size + 1), tensor.size};
    buf_init(&buf, 1 << 26);
    json_writer_init(&writer, &buf);
    check(tensor_take_to_json(&writer, datatype, shape, &rest, &error));
    if (again.data && buf_ok(&buf)) {
        check(rest.size == 0);
        json_init(&json, buf_span(&buf), JSON_MAX_DEPTH, NULL, &error);
        check(tensor_from_json(&json, datatype, shape, again) && json_end(&json));
        check(memcmp(tensor.data, again.data, tensor.size) == 0);
    }
    buf_fini(&buf);
    free(again.data);
}

static void write_again(enum tensord_datatype datatype, const struct shape *shape,
                        struct room tensor)
{
    struct buf buf;
    struct json_writer writer;
    struct json json;
    struct error error;
    struct room again = {malloc(tensor.size + 1), tensor.size};
    buf_init(&buf, 1 << 26);
    json_writer_init(&writer, &buf);
    check(
        tensor_to_json(&writer, datatype, shape, (struct span){tensor.data, tensor.size}, &error));
    if (again.data && buf_ok(&buf)) {
        json_init(&json, buf_span(&buf), JSON_MAX_DEPTH, NULL, &error);
        check(tensor_from_json(&json, datatype, shape, again) && json_end(&json));
        check(memcmp(tensor.data, again.data, tensor.size) == 0);
    }
    buf_fini(&buf);
    free(again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum tensord_datatype datatype = data[0] % (TENSORD_DATATYPE_COUNT - 1) + 1;
    struct json json;
    struct shape shape;
    struct error error;
    uint64_t bytes;
    json_init(&json, (struct span){(const char *)data + 1, size - 1}, JSON_MAX_DEPTH, NULL, &error);
    if (!tensor_json_shape(&json, &shape))
        return 0;
    if (datatype == TENSORD_BYTES ? !tensor_json_bytes_size(&json, &bytes)
                                  : !shape_size_bytes(&shape, datatype, &bytes))
        return 0;
    if (bytes > MAX_TENSOR_BYTES)
        return 0;
    struct room tensor = {malloc(bytes ? bytes : 1), bytes};
    if (tensor.data && tensor_from_json(&json, datatype, &shape, tensor) && json_end(&json)) {
        write_again(datatype, &shape, tensor);
        write_nested(datatype, &shape, tensor);
    }
    free(tensor.data);
    return 0;
}
