/* A graph for a unit test, on an arena of its own. */
#ifndef TENSORD_PIPELINE_GRAPH_FIXTURE_H
#define TENSORD_PIPELINE_GRAPH_FIXTURE_H

#include "pipeline/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern struct arena arena;
extern struct pipeline_graph graph;
extern struct error error; /* the last */

/* An empty graph, and its end; for cmocka. */
int set_up(void **state);
int tear_down(void **state);

/* Adds a step of a model that takes one tensor as "in" and gives one as "out". */
bool step(const char *model, const char *takes, const char *gives);

#endif
