/* The command line of a simulator, which makes a world of its own from each seed:
 *
 *     NAME [SEEDS]          runs the seeds 1 to SEEDS (10000), up to the first that breaks a rule
 *     NAME --seed SEED      runs one, and says all that happens
 *     NAME --finds WORD N   succeeds when one of N seeds breaks the rule of that word
 */
#ifndef TENSORD_SCHEDULE_SEEDS_H
#define TENSORD_SCHEDULE_SEEDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seeds {
    /* Runs one; trace may be NULL. The word of the rule that it breaks, and in *ret_detail what
     * there is to say of that; NULL: none. */
    const char *(*run)(uint64_t seed, FILE *trace, const char **ret_detail);
    /* Adds the world that has just ended well to sums, and prints those after as many seeds. */
    void (*count)(void);
    void (*print)(uint64_t seeds);
};

static inline const char *seeds_run_one(const struct seeds *seeds, uint64_t seed, FILE *trace)
{
    const char *detail = "";
    const char *word = seeds->run(seed, trace, &detail);
    if (word)
        fprintf(stderr, "seed %llu: %s: %s\n", (unsigned long long)seed, word, detail);
    /* cppcheck-suppress returnDanglingLifetime ; it is a literal, and not in detail */
    return word;
}

static inline int seeds_main(int argc, char **argv, const struct seeds *seeds)
{
    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        return seeds_run_one(seeds, strtoull(argv[2], NULL, 10), stdout) ? EXIT_FAILURE
                                                                         : EXIT_SUCCESS;
    const char *wanted = argc == 4 && strcmp(argv[1], "--finds") == 0 ? argv[2] : NULL;
    uint64_t count = wanted ? strtoull(argv[3], NULL, 10) : 10000;
    if (argc == 2)
        count = strtoull(argv[1], NULL, 10);
    for (uint64_t seed = 1; seed <= count; seed++) {
        const char *word = seeds_run_one(seeds, seed, NULL);
        if (word && wanted && strcmp(word, wanted) == 0)
            return EXIT_SUCCESS;
        if (word && !wanted) {
            printf("replay it with: %s --seed %llu\n", argv[0], (unsigned long long)seed);
            return EXIT_FAILURE;
        }
        if (!word)
            seeds->count();
    }
    if (wanted)
        printf("nothing was found in %llu seeds\n", (unsigned long long)count);
    else
        seeds->print(count);
    return wanted ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
