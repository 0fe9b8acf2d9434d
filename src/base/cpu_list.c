/* Sets of processors; see cpu_list.h. */
#include "base/cpu_list.h"

#include <stdio.h>
#include <string.h>

bool cpu_list_has(const struct cpu_list *list, uint32_t number)
{
    return number < CPU_LIST_MAX && list->words[number / 64] >> number % 64 & 1;
}

void cpu_list_add(struct cpu_list *list, uint32_t number)
{
    if (number < CPU_LIST_MAX)
        list->words[number / 64] |= UINT64_C(1) << number % 64;
}

static bool read_number(struct span text, uint32_t *ret_number)
{
    uint64_t number;
    bool good = span_to_u64(span_trim(text), &number) && number < CPU_LIST_MAX;
    *ret_number = good ? (uint32_t)number : 0;
    return good;
}

bool cpu_list_read(struct span text, struct cpu_list *ret_list)
{
    struct cpu_list list = {{0}};
    struct span rest = text;
    while (rest.data) {
        struct span range = span_split(&rest, ','), first = span_split(&range, '-');
        uint32_t from, to;
        if (!read_number(first, &from))
            return false;
        to = from;
        if (range.data && (!read_number(range, &to) || to < from))
            return false;
        for (uint32_t number = from; number <= to; number++)
            cpu_list_add(&list, number);
    }
    *ret_list = list;
    return cpu_list_count(&list) > 0;
}

uint32_t cpu_list_count(const struct cpu_list *list)
{
    uint32_t count = 0;
    for (size_t i = 0; i < CPU_LIST_WORDS; i++)
        count += (uint32_t)__builtin_popcountll(list->words[i]);
    return count;
}

uint32_t cpu_list_beyond(const struct cpu_list *list, const struct cpu_list *all)
{
    uint32_t number = 0;
    while (number < CPU_LIST_MAX && (!cpu_list_has(list, number) || cpu_list_has(all, number)))
        number++;
    return number;
}

struct cpu_list cpu_list_part(const struct cpu_list *list, uint32_t place, uint32_t parts)
{
    struct cpu_list part = {{0}};
    uint64_t count = cpu_list_count(list);
    uint64_t first = count * place / parts, end = count * (place + 1) / parts, at = 0;
    for (uint32_t number = 0; number < CPU_LIST_MAX; number++) {
        if (!cpu_list_has(list, number))
            continue;
        if (at >= first && at < end)
            cpu_list_add(&part, number);
        at++;
    }
    return part;
}

char *cpu_list_text(const struct cpu_list *list, char text[CPU_LIST_TEXT_BYTES])
{
    size_t size = 0;
    text[0] = '\0';
    for (uint32_t number = 0; number < CPU_LIST_MAX; number++) {
        uint32_t last = number;
        char range[24];
        if (!cpu_list_has(list, number))
            continue;
        while (cpu_list_has(list, last + 1))
            last++;
        int length = last > number ? snprintf(range, sizeof range, "%u-%u", number, last)
                                   : snprintf(range, sizeof range, "%u", number);
        if (size + (size_t)length + sizeof ",…" > CPU_LIST_TEXT_BYTES) {
            snprintf(text + size, CPU_LIST_TEXT_BYTES - size, "…");
            break;
        }
        size += (size_t)snprintf(text + size, CPU_LIST_TEXT_BYTES - size, "%s%s", size ? "," : "",
                                 range);
        number = last;
    }
    return text;
}
