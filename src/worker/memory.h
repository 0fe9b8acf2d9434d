/* Tensor memory: one sealed memfd per generation of a model version (and loop), in which the front
 * allocates every input and output. Workers of that generation map it too; nobody else does, and it
 * has no name.
 *
 * Each power of two of sizes has a region of its own in the sparse file, so that allocating and
 * freeing are a push and a pop, nothing ever fragments, and pages that were never touched cost
 * nothing. All bookkeeping lies in private memory: workers can write into tensors, never into the
 * allocator. For one thread. */
#ifndef TENSORD_WORKER_MEMORY_H
#define TENSORD_WORKER_MEMORY_H

#include "base/error.h"
#include "base/span.h"

struct tensor_memory;

/* A piece of tensor memory. */
struct extent {
    uint64_t offset; /* from the start of the memory; a multiple of 64 */
    uint64_t size;   /* bytes asked for; 0: no piece at all */
};

/* What a piece of `size` bytes counts against the limit. */
static inline uint64_t tensor_memory_charge(uint64_t size)
{
    return (size + 63) & ~UINT64_C(63);
}

/* limit_bytes bounds what is allocated at once, and so what is committed. */
struct tensor_memory *tensor_memory_new(uint64_t limit_bytes, struct error *ret_error);

/* Unmaps and closes. Workers that still map it keep their view. */
void tensor_memory_free(struct tensor_memory *memory);

/* False with RESOURCE_EXHAUSTED when the limit is reached, TOO_LARGE when it never fits. */
bool tensor_memory_alloc(struct tensor_memory *memory, uint64_t size, struct extent *ret_extent,
                         struct error *ret_error);

/* Gives the piece back; one of size 0 is ignored. */
void tensor_memory_release(struct tensor_memory *memory, struct extent extent);

/* The address of a piece in this process. */
void *tensor_memory_at(const struct tensor_memory *memory, struct extent extent);

/* The memfd, for handing to a worker, and the size of its mapping in bytes. */
int tensor_memory_fd(const struct tensor_memory *memory);
uint64_t tensor_memory_size_bytes(const struct tensor_memory *memory);

/* Bytes in pieces that are handed out now, and bytes that the kernel holds for the file. */
uint64_t tensor_memory_used_bytes(const struct tensor_memory *memory);
uint64_t tensor_memory_committed_bytes(const struct tensor_memory *memory);

/* Bytes that the kernel holds for the file beyond what pieces that were handed out can account for:
 * a worker has touched what it was not given. 0: none. One system call. */
uint64_t tensor_memory_excess_bytes(const struct tensor_memory *memory);

/* Gives pages of free pieces back to the kernel; called when the model has been idle for a while.
 */
void tensor_memory_trim(struct tensor_memory *memory);

/* Gives everything back to the kernel that lies in no piece, also what a worker has touched
 * elsewhere. No worker may run. */
void tensor_memory_reclaim(struct tensor_memory *memory);

#endif
