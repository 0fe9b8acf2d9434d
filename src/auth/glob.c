/* Patterns; see glob.h. Only the last star is ever tried again: what an earlier one took can stay,
 * because the next star can take more instead. */
#include "auth/glob.h"

bool glob_match(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, retry = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            retry = t;
            if (p == pattern.size)
                return true; /* it takes the rest */
        } else if (p < pattern.size && pattern.data[p] == text.data[t]) {
            p++, t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

bool glob_list_match(struct span patterns, struct span text)
{
    struct span rest = patterns;
    while (rest.size) {
        if (glob_match(span_split(&rest, ','), text))
            return true;
    }
    return false;
}
