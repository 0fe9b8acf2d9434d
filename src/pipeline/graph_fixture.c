/* See graph_fixture.h. */
#include "pipeline/graph_fixture.h"

struct arena arena;
struct pipeline_graph graph;
struct error error;

int set_up(void **state)
{
    arena_init(&arena, 1024, 16 << 20);
    pipeline_graph_init(&graph, &arena);
    return 0;
}

int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

bool step(const char *model, const char *takes, const char *gives)
{
    return pipeline_add_step(&graph, SPAN(""), span_of(model), -1, &error) &&
           pipeline_add_input(&graph, SPAN("in"), span_of(takes), &error) &&
           pipeline_add_output(&graph, SPAN("out"), span_of(gives), &error);
}
