/* The sections `steps` and `ensemble_scheduling` of a model's config: a pipeline. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_STEPS_H
#define TENSORD_REPOSITORY_MODEL_STEPS_H

#include "base/pack.h"
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "pipeline/graph.h"

/* Makes the graph of the steps of either section (the other is NULL or empty) in arena. False with
 * a sentence (INVALID_ARGUMENT). */
bool model_steps_read(const struct tensord_model_sections *sections,
                      const struct inference_model_ensembling *ensemble, struct arena *arena,
                      struct pipeline_graph *ret_graph, struct error *ret_error);

/* The same pipeline as a section `ensemble_scheduling`, in arena, as far as that can say it: not
 * conditions, nor that a step is called for each part. Names are those of the graph. NULL when
 * there is no memory. */
struct inference_model_ensembling *model_steps_describe(const struct pipeline_graph *graph,
                                                        struct arena *arena);

/* As bytes, between processes of this program: whoever reads makes the graph anew, with all
 * checks. */
void model_steps_pack(const struct pipeline_graph *graph, struct buf *buf);
void model_steps_unpack(struct unpack *unpack, struct pipeline_graph *ret_graph);

#endif
