// The kernels as functions of the processor, once for each ELEMENT, and one door to them.

#include "host.h"
#include "prelude.h"
#include "pointwise.cu"
#include "decoder.cu"
#include "choose.cu"
#include "encoder.cu"

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

#define ENTRY(name) {#name, name##_launch, name##_threads}
static const struct { const char *name; void (*launch)(const void *); unsigned n_threads; } kernels[] = {
    ENTRY(embed), ENTRY(layer_norm), ENTRY(bias_gelu), ENTRY(mel_rows), ENTRY(append), ENTRY(select_rows),
    ENTRY(attend_many), ENTRY(attend_one), ENTRY(merge_splits), ENTRY(scores), ENTRY(choose),
#if ELEMENT != 32
    ENTRY(flash),
#endif
};

// Runs a kernel to its end. 0: done, 1: there is no such kernel, 2: no memory.
int NAMED(violet_host_launch_, ELEMENT)(const char *name, const unsigned *grid, const void *arguments) {
    if (!host.stacks && !(host.stacks = malloc((size_t)MAX_THREADS * STACK_BYTES))) return 2;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (strcmp(kernels[i].name, name)) continue;
        host.kernel = kernels[i].launch;
        host.arguments = arguments;
        blockDim = (struct dimensions){kernels[i].n_threads, 1, 1};
        gridDim = (struct dimensions){grid[0], grid[1], grid[2]};
        for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
            for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
                for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) run_block();
        return 0;
    }
    return 1;
}
