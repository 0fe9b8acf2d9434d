/* Typed contents as a tensor: the first byte of the input chooses the datatype, the rest is an
 * InferTensorContents. The tensor has exactly the size that was said, and what the general decoder
 * accepts is the same values. */
#include "codec/infer_contents.h"
#include "codec/inference.pb.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_BYTES = 1 << 16, ARENA_BYTES = 1 << 22 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* FP32 and BYTES stand for all: their values have no other width on the wire. */
static void same_as_decoded(struct span message, enum tensord_datatype datatype, struct span tensor)
{
    struct arena arena;
    struct error error;
    struct inference_infer_tensor_contents contents;
    arena_init(&arena, 4096, ARENA_BYTES);
    if (pb_decode(&inference_infer_tensor_contents_pb, message, &arena, &contents, &error)) {
        if (datatype == TENSORD_FP32)
            check(contents.fp32_contents.count == tensor.size / sizeof(float) &&
                  (tensor.size == 0 ||
                   memcmp(contents.fp32_contents.items, tensor.data, tensor.size) == 0));
        if (datatype == TENSORD_BYTES)
            check(bytes_tensor_check(tensor, contents.bytes_contents.count));
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    uint64_t tensor_bytes;
    if (size < 1 || size > MESSAGE_BYTES)
        return 0;
    enum tensord_datatype datatype = data[0] % TENSORD_DATATYPE_COUNT;
    struct span message = {(const char *)data + 1, size - 1};
    if (!contents_size(message, datatype, &tensor_bytes, &error))
        return 0;
    check(tensor_bytes <= 8 * message.size);
    char *tensor = malloc(tensor_bytes + 1); /* the sanitizer watches the bytes behind it */
    if (tensor) {
        tensor[tensor_bytes] = 'x';
        if (contents_copy(message, datatype, tensor, &error))
            same_as_decoded(message, datatype, (struct span){tensor, tensor_bytes});
        check(tensor[tensor_bytes] == 'x');
    }
    free(tensor);
    return 0;
}
