/* Addresses: what is read and written is read again as the same. */
#include "net/address.h"

#include "base/span.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void check(struct sockaddr_storage *address, socklen_t size)
{
    char text[128];
    struct sockaddr_storage again;
    socklen_t again_size;
    bool loopback = address_is_loopback(address);
    assert(size <= sizeof *address && address_equal(address, address));
    address_format(address, text, sizeof text);
    if (address->ss_family == AF_UNIX) {
        assert(!loopback && address_port(address) == 0 && strcmp(text, "unix") == 0);
        return;
    }
    assert(address_parse(text, &again, &again_size, NULL));
    assert(address_port(&again) == address_port(address) &&
           address_is_loopback(&again) == loopback);
    address_set_port(&again, address_port(address) ^ 1);
    assert(!address_equal(address, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage address = {0}, other = {0};
    socklen_t address_size, other_size;
    struct error error = {0};
    char *text = malloc(size + 1);
    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    char *second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    if (address_parse(text, &address, &address_size, &error))
        check(&address, address_size);
    else
        assert(error.code == ERROR_INVALID_ARGUMENT && error.message[0]);
    if (second && address_parse(second, &other, &other_size, NULL))
        assert(address_equal(&address, &other) == address_equal(&other, &address));
    free(text);
    return 0;
}
