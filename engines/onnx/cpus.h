/* How many processors there are for this process. */
#ifndef TENSORD_ENGINES_ONNX_CPUS_H
#define TENSORD_ENGINES_ONNX_CPUS_H

/* The processors that the process may run on, or its control group's share of processor time in
 * whole processors (rounded up) when that is less. At least 1. Reads a few small files. */
unsigned onnx_cpu_count(void);

#endif
