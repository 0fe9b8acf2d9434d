/* Keys and parts of shared memory; see region_key.h. */
#include "regions/region_key.h"

#include "base/utf8.h"

#include <string.h>

/* Names in the folder of shared memory that are not for clients. */
static const char *const reserved[] = {
    "triton_python_backend_shm_region_", /* Triton's, which its server refuses as well */
    "sem.",                              /* semaphores: who writes into one breaks its users */
};

bool region_key_read(struct span region, struct span key, struct span *ret_file,
                     struct error *ret_error)
{
    struct span file = key.size && key.data[0] == '/' ? span_after(key, 1) : key;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (span_starts_with(file, span_of(reserved[i])))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "cannot register shared memory region '%.*s' with key '%.*s' as the "
                             "key contains the reserved prefix '%s'",
                             SPAN_ARGS(region), SPAN_ARGS(key), reserved[i]);
    }
    bool sound = file.size > 0 && file.size <= REGION_KEY_MAX_BYTES &&
                 !memchr(file.data, '/', file.size) && !memchr(file.data, '\0', file.size) &&
                 !span_equal(file, SPAN(".")) && !span_equal(file, SPAN(".."));
    *ret_file = file;
    return sound || error_set(ret_error, ERROR_INVALID_ARGUMENT,
                              "cannot register shared memory region '%.*s' - invalid shm key "
                              "'%.*s': a key is a slash and a name, as shm_open takes it",
                              SPAN_ARGS(region), SPAN_ARGS(key));
}

bool region_name_check(struct span region, struct error *ret_error)
{
    bool sound = region.size > 0 && region.size <= REGION_NAME_MAX_BYTES && utf8_valid(region);
    for (size_t i = 0; sound && i < region.size; i++)
        sound = (unsigned char)region.data[i] >= ' ' && region.data[i] != 0x7f;
    return sound || error_set(ret_error, ERROR_INVALID_ARGUMENT,
                              "a shared memory region has a name of 1 to %d bytes, without control "
                              "characters",
                              REGION_NAME_MAX_BYTES);
}

bool region_part_fits(uint64_t offset, uint64_t size, uint64_t whole)
{
    return size > 0 && size <= whole && offset <= whole - size;
}
