/* Sets of processors, as Linux lists them: "0-3,8". Values only. */
#ifndef TENSORD_BASE_CPU_LIST_H
#define TENSORD_BASE_CPU_LIST_H

#include "base/span.h"

enum { CPU_LIST_MAX = 1024, CPU_LIST_WORDS = CPU_LIST_MAX / 64, CPU_LIST_TEXT_BYTES = 64 };

/* Bit N: the processor with number N. All zero: none. */
struct cpu_list {
    uint64_t words[CPU_LIST_WORDS];
};

/* Numbers and ranges with commas between them, of processors below CPU_LIST_MAX, in any order;
 * blanks are passed over. False when it is anything else, or names none. */
bool cpu_list_read(struct span text, struct cpu_list *ret_list);

uint32_t cpu_list_count(const struct cpu_list *list);
bool cpu_list_has(const struct cpu_list *list, uint32_t number);
void cpu_list_add(struct cpu_list *list, uint32_t number);

/* The first that is not in `all`; CPU_LIST_MAX: each is. */
uint32_t cpu_list_beyond(const struct cpu_list *list, const struct cpu_list *all);

/* The part at a place, from 0 on, of so many: neighbours, and as many in each part as can be, but
 * for one. None is empty where there are at least as many processors as parts. */
struct cpu_list cpu_list_part(const struct cpu_list *list, uint32_t place, uint32_t parts);

/* As Linux writes it, ending in "…" where it is longer than CPU_LIST_TEXT_BYTES. Returns text. */
char *cpu_list_text(const struct cpu_list *list, char text[CPU_LIST_TEXT_BYTES]);

#endif
