/* Names of datatypes, and what the struct module calls them; see python.h. */
#include "python.h"

#include <string.h>

static const struct {
    const char *text;
    char format;
} rows[TENSORD_DATATYPE_COUNT] = {
    [TENSORD_INVALID] = {"", '\0'},     [TENSORD_BOOL] = {"BOOL", '?'},
    [TENSORD_UINT8] = {"UINT8", 'B'},   [TENSORD_UINT16] = {"UINT16", 'H'},
    [TENSORD_UINT32] = {"UINT32", 'I'}, [TENSORD_UINT64] = {"UINT64", 'Q'},
    [TENSORD_INT8] = {"INT8", 'b'},     [TENSORD_INT16] = {"INT16", 'h'},
    [TENSORD_INT32] = {"INT32", 'i'},   [TENSORD_INT64] = {"INT64", 'q'},
    [TENSORD_FP16] = {"FP16", 'e'},     [TENSORD_FP32] = {"FP32", 'f'},
    [TENSORD_FP64] = {"FP64", 'd'},     [TENSORD_BF16] = {"BF16", 'H'},
    [TENSORD_BYTES] = {"BYTES", 'B'},
};

const char *datatype_text(enum tensord_datatype datatype)
{
    return rows[datatype < TENSORD_DATATYPE_COUNT ? datatype : TENSORD_INVALID].text;
}

enum tensord_datatype datatype_of_text(const char *text)
{
    for (unsigned i = TENSORD_INVALID + 1; i < TENSORD_DATATYPE_COUNT; i++) {
        if (strcmp(text, rows[i].text) == 0)
            return (enum tensord_datatype)i;
    }
    return TENSORD_INVALID;
}

char view_format(enum tensord_datatype datatype)
{
    return rows[datatype < TENSORD_DATATYPE_COUNT ? datatype : TENSORD_INVALID].format;
}
