// What the kernels are written in: the common part of CUDA C++ and C. A GPU's compiler (NVRTC, nvcc) takes it as it is;
// host.h gives every word of it a meaning on the processor, so that tests run the very same kernels there.
//
// ELEMENT says how matrices are stored: 16 (half), 17 (bfloat16) or 32 (float). Sums are always floats.
// Nothing is included, so that NVRTC needs no headers of the toolkit.

#ifdef __CUDACC__
#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define UNROLL _Pragma("unroll")
#define KERNEL(n_threads, name, arguments) \
    extern "C" __global__ void __launch_bounds__(n_threads) name(const struct arguments a)
#endif

#define WARP 32
#define HEAD 64
// Stands for minus infinity where differences of two of them are taken.
#define NEVER (-1e30f)
#define LOG2_E 1.4426950408889634f

#if ELEMENT == 32
typedef float element;
#else
typedef unsigned short element;
#endif

// Elements in 16 bytes, the largest access of a thread.
#define VECTOR ((int)(16 / sizeof(element)))

DEVICE int min_int(int a, int b) { return a < b ? a : b; }
DEVICE float max_float(float a, float b) { return a > b ? a : b; }

#ifdef __CUDACC__
#if ELEMENT == 16
DEVICE float to_float(element x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
DEVICE element from_float(float x) { element y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y; }
#elif ELEMENT == 17
DEVICE float to_float(element x) { return __uint_as_float((unsigned)x << 16); }
DEVICE element from_float(float x) { element y; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y; }
#endif

// 2 to the power of x, relative error 2^-22.
DEVICE float exp2_fast(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE void synchronize(void) { __syncthreads(); }
DEVICE float shuffle(float x, int lane_mask) { return __shfl_xor_sync(0xffffffffu, x, lane_mask); }
DEVICE int shuffle_int(int x, int lane_mask) { return __shfl_xor_sync(0xffffffffu, x, lane_mask); }
#endif

#if ELEMENT == 32
DEVICE float to_float(element x) { return x; }
DEVICE element from_float(float x) { return x; }
#endif

// The VECTOR values at p, which is aligned to 16 bytes.
DEVICE void load_vector(const element *p, float *values) {
    const uint4 packed = *(const uint4 *)p;
    const unsigned words[4] = {packed.x, packed.y, packed.z, packed.w};
    UNROLL
    for (int i = 0; i < 4; i++) {
#if ELEMENT == 32
        values[i] = __uint_as_float(words[i]);
#else
        values[2 * i] = to_float((element)(words[i] & 0xffffu));
        values[2 * i + 1] = to_float((element)(words[i] >> 16));
#endif
    }
}

DEVICE void store_vector(element *p, const float *values) {
    unsigned words[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
#if ELEMENT == 32
        words[i] = __float_as_uint(values[i]);
#else
        words[i] = (unsigned)from_float(values[2 * i]) | (unsigned)from_float(values[2 * i + 1]) << 16;
#endif
    }
    uint4 packed;
    packed.x = words[0], packed.y = words[1], packed.z = words[2], packed.w = words[3];
    *(uint4 *)p = packed;
}

// The sum over the 128 threads of a block, in every thread. `scratch` holds 4 floats and is free again at the next
// synchronize().
DEVICE float sum_of_block(float x, float *scratch) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) x += shuffle(x, mask);
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = x;
    synchronize();
    return scratch[0] + scratch[1] + scratch[2] + scratch[3];
}
