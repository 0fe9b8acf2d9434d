/* Runs the simulator over many seeds.
 *
 *     simulator [SEEDS]          runs the seeds 1 to SEEDS (10000); prints the first that breaks a
 * rule simulator --seed SEED      runs one, and says all that happens simulator --finds WORD N
 * succeeds when one of the first N seeds breaks the rule of that word
 */
#include "schedule/simulator.h"

#include <stdlib.h>
#include <string.h>

static struct simulator simulator;

static bool breaks(uint64_t seed, FILE *trace)
{
    const char *word = simulator_run(&simulator, seed, trace);
    if (word)
        printf("seed %llu: %s: %s\n", (unsigned long long)seed, word, simulator.detail);
    return word != NULL;
}

static int run_all(uint64_t seeds, const char *program)
{
    uint64_t requests = 0, executions = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (breaks(seed, NULL)) {
            printf("replay it with: %s --seed %llu\n", program, (unsigned long long)seed);
            return EXIT_FAILURE;
        }
        requests += simulator.world.request_count;
        executions += simulator.schedule.learner.executions;
    }
    printf("%llu seeds, %llu requests, %llu executions\n", (unsigned long long)seeds,
           (unsigned long long)requests, (unsigned long long)executions);
    return EXIT_SUCCESS;
}

static int run_until_found(const char *word, uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (breaks(seed, NULL))
            return strcmp(simulator.failure, word) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    printf("nothing was found in %llu seeds\n", (unsigned long long)seeds);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        return breaks(strtoull(argv[2], NULL, 10), stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    if (argc == 4 && strcmp(argv[1], "--finds") == 0)
        return run_until_found(argv[2], strtoull(argv[3], NULL, 10));
    return run_all(argc == 2 ? strtoull(argv[1], NULL, 10) : 10000, argv[0]);
}
