/* Base64; see base64.h. */
#include "base/base64.h"

#include <stdint.h>

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct span text, char *room, size_t *ret_size)
{
    char *to = room;
    uint32_t bits = 0;
    unsigned count = 0;
    size_t padded = text.size;
    while (text.size && padded - text.size < 2 && text.data[text.size - 1] == '=')
        text.size--;
    if (text.size % 4 == 1 || (padded != text.size && padded % 4 != 0))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int value = sextet(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (char)(bits >> count);
        }
    }
    *ret_size = (size_t)(to - room);
    return true;
}
