/* The inputs of a request that lie in clients' shared memory, and the outputs that go there
 * (regions/). Both are moved on threads: inputs when their memory is there and before the inference
 * is submitted, outputs before the answer is written. REST and gRPC use it alike.
 *
 * A region that a request names cannot be unregistered until infer_regions_release. While a move
 * runs, the exchange is held and the inference must keep its memory: see infer_regions_moving. */
#ifndef TENSORD_API_INFER_REGIONS_H
#define TENSORD_API_INFER_REGIONS_H

#include "api/call.h"
#include "api/region_words.h"
#include "regions/region_copy.h"
#include "serving/inference.h"

/* Zeroed at first. */
struct infer_regions {
    struct api_call *call;
    struct region_piece *inputs; /* those in shared memory, in the order of the request */
    size_t input_count, input_capacity;
    struct region_piece *outputs; /* one for each that is asked for; region NULL: it is not */
    size_t output_count;
    struct region_piece *pieces;   /* of the answer that is being written */
    struct inference_output *list; /* of its outputs, without what is written */
    bool has_outputs;              /* in shared memory */
    bool moving;
    struct region_copy copy;
    /* A move has ended, well (ERROR_OK) or not. Called in a later turn. */
    void (*moved)(struct infer_regions *regions, const struct error *error);
};

/* An input lies where the words say: takes the region, of which they name all that is needed.
 * `input` is its name, for sentences. What it takes comes from the arena. */
bool infer_regions_add_input(struct infer_regions *regions, struct api_call *call,
                             struct arena *arena, struct span input,
                             const struct region_words *words, struct error *ret_error);

/* Output number `output`, of `count` that are asked for, is to be written where the words say. */
bool infer_regions_add_output(struct infer_regions *regions, struct api_call *call,
                              struct arena *arena, struct span output, size_t number, size_t count,
                              const struct region_words *words, struct error *ret_error);

/* The memory of the input that was added `number`th. */
void infer_regions_place(struct infer_regions *regions, size_t number, char *memory);

/* Whether that output of an answer goes to shared memory. */
bool infer_regions_has_output(const struct infer_regions *regions, size_t number);

/* Starts to read all inputs that have their memory; `moved` is called when it is done. False, and
 * it is not, when there is none. */
bool infer_regions_read(struct infer_regions *regions,
                        void (*moved)(struct infer_regions *regions, const struct error *error));

/* Starts to write outputs of an answer, whose memory stays until `moved`, to where they go.
 * *outputs becomes another list, in which they are empty: nothing of them is sent; it holds until
 * the next call of this. `moved` is told INTERNAL when one is larger than its place. */
void infer_regions_write(struct infer_regions *regions, struct inference_outputs *outputs,
                         void (*moved)(struct infer_regions *regions, const struct error *error));

/* Whether a move runs. The inference must then not be ended, nor its memory forgotten: `moved` goes
 * on with that. */
static inline bool infer_regions_moving(const struct infer_regions *regions)
{
    return regions->moving;
}

/* Lets go of the regions; while a move runs, nothing. May be called several times. */
void infer_regions_release(struct infer_regions *regions);

#endif
