/* Runs the simulator over many seeds; see seeds.h for its command line. */
#include "schedule/seeds.h"
#include "schedule/simulator.h"

static struct simulator simulator;
static uint64_t requests, executions;

static const char *run(uint64_t seed, FILE *trace, const char **ret_detail)
{
    *ret_detail = simulator.detail;
    return simulator_run(&simulator, seed, trace);
}

static void count(void)
{
    requests += simulator.world.request_count;
    executions += simulator.schedule.learner.executions;
}

static void print(uint64_t seeds)
{
    printf("%llu seeds, %llu requests, %llu executions\n", (unsigned long long)seeds,
           (unsigned long long)requests, (unsigned long long)executions);
}

int main(int argc, char **argv)
{
    static const struct seeds seeds = {run, count, print};
    return seeds_main(argc, argv, &seeds);
}
