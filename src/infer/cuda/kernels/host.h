// The words of prelude.h on the processor. A block's threads are coroutines that switch where CUDA's threads would wait
// for each other: at a block's barrier and at everything a warp does together. Blocks run one after another.
//
// One thread of the operating system at a time may be in here.

#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define DEVICE static inline
#define SHARED static
#define UNROLL
#define KERNEL(n_threads, name, arguments)                                                 \
    static void name##_kernel(const struct arguments a);                                   \
    static void name##_launch(const void *p) { name##_kernel(*(const struct arguments *)p); } \
    enum { name##_threads = n_threads };                                                   \
    static void name##_kernel(const struct arguments a)

struct dimensions { unsigned x, y, z; };
typedef struct { unsigned x, y, z, w; } __attribute__((aligned(16))) uint4;
static struct dimensions threadIdx, blockIdx, blockDim, gridDim;

enum { MAX_THREADS = 512, STACK_BYTES = 256 << 10 };

// Everybody of a group waits until all have come, then all go on.
struct barrier { int arrived; unsigned generation; };
static struct {
    ucontext_t scheduler, threads[MAX_THREADS];
    char *stacks;
    int is_done[MAX_THREADS];
    int current;
    struct barrier block, warps[MAX_THREADS / 32];
    void (*kernel)(const void *);
    const void *arguments;
    // What each thread shows to its warp, in turns: who is late may still read while others show the next.
    struct shown { uint32_t words[6]; const void *address; } shown[2][MAX_THREADS];
    int turn[MAX_THREADS];
} host;

static void wait_for(struct barrier *barrier, int n_threads) {
    const unsigned generation = barrier->generation;
    if (++barrier->arrived == n_threads) {
        barrier->arrived = 0;
        barrier->generation++;
    }
    while (barrier->generation == generation) swapcontext(&host.threads[host.current], &host.scheduler);
}
static void synchronize(void) { wait_for(&host.block, (int)blockDim.x); }

// Shows something to the warp; returns what all of the warp show.
static const struct shown *show(struct shown mine) {
    const int turn = host.turn[host.current] ^= 1;
    host.shown[turn][host.current] = mine;
    wait_for(&host.warps[host.current / 32], 32);
    return host.shown[turn] + host.current / 32 * 32;
}
static int lane(void) { return host.current % 32; }

static void run_thread(void) {
    host.kernel(host.arguments);
    host.is_done[host.current] = 1;
}

#if ELEMENT != 32
// A copy is done only when it is waited for, and leaves poison until then, which shows who reads too early.
struct copy { uint4 *to; const void *from; int is_there; };
struct copies { struct copy of[32]; int n; };
static struct { struct copies older, newer, filling; } copying[MAX_THREADS];
#endif

static void run_block(void) {
    for (unsigned i = 0; i < blockDim.x; i++) {
        ucontext_t *context = &host.threads[i];
        getcontext(context);
        context->uc_stack.ss_sp = host.stacks + (size_t)i * STACK_BYTES;
        context->uc_stack.ss_size = STACK_BYTES;
        context->uc_link = &host.scheduler;
        host.is_done[i] = 0;
#if ELEMENT != 32
        memset(&copying[i], 0, sizeof copying[i]);
#endif
        makecontext(context, run_thread, 0);
    }
    for (int is_alive = 1; is_alive;) {
        is_alive = 0;
        for (unsigned i = 0; i < blockDim.x; i++) {
            if (host.is_done[i]) continue;
            host.current = (int)i;
            threadIdx.x = i;
            swapcontext(&host.scheduler, &host.threads[i]);
            is_alive |= !host.is_done[i];
        }
    }
}

static inline uint32_t __float_as_uint(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
static inline float __uint_as_float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }

#if ELEMENT == 16
// IEEE half precision, rounded to nearest, ties to even.
static inline float to_float(unsigned short x) {
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, exponent = x >> 10 & 31, mantissa = x & 0x3ffu;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * ldexpf((float)mantissa, -24);
    return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
}
static inline unsigned short from_float(float x) {
    const uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u;
    const float magnitude = fabsf(x);
    if (magnitude != magnitude) return (unsigned short)(sign | 0x7e00u);
    if (magnitude >= 65520.0f) return (unsigned short)(sign | 0x7c00u);
    if (magnitude < 6.103515625e-5f) return (unsigned short)(sign | (uint32_t)nearbyintf(ldexpf(magnitude, 24)));
    const uint32_t rounded = (bits & 0x7fffffffu) + 0xfffu + (bits >> 13 & 1);
    return (unsigned short)(sign | (rounded - (112u << 23)) >> 13);
}
#elif ELEMENT == 17
static inline float to_float(unsigned short x) { return __uint_as_float((uint32_t)x << 16); }
static inline unsigned short from_float(float x) {
    const uint32_t bits = __float_as_uint(x);
    if (x != x) return 0x7fffu;
    return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
#endif
static inline float exp2_fast(float x) { return exp2f(x); }

static uint32_t shuffle_bits(uint32_t x, int lane_mask) {
    const struct shown *all = show((struct shown){.words = {x}});
    return all[lane() ^ lane_mask].words[0];
}
static float shuffle(float x, int lane_mask) { return __uint_as_float(shuffle_bits(__float_as_uint(x), lane_mask)); }
static int shuffle_int(int x, int lane_mask) { return (int)shuffle_bits((uint32_t)x, lane_mask); }

#if ELEMENT != 32
static inline uint32_t pack(float low, float high) { return from_float(low) | (uint32_t)from_float(high) << 16; }

static void copy_async(uint4 *to, const void *from, int is_there) {
    struct copies *filling = &copying[host.current].filling;
    if (filling->n == 32) abort();
    memset(to, 0xff, 16);
    filling->of[filling->n++] = (struct copy){to, from, is_there};
}
static void copy_commit(void) {
    if (copying[host.current].older.n) abort();
    copying[host.current].older = copying[host.current].newer;
    copying[host.current].newer = copying[host.current].filling;
    copying[host.current].filling.n = 0;
}
static void copy_wait_but_one(void) {
    struct copies *older = &copying[host.current].older;
    for (int i = 0; i < older->n; i++) {
        if (older->of[i].is_there) memcpy(older->of[i].to, older->of[i].from, 16);
        else memset(older->of[i].to, 0, 16);
    }
    older->n = 0;
}

// PTX ISA, ldmatrix: lane l gets elements 2 (l % 4) and the next of row l / 4 of each matrix.
static void load_matrices(uint32_t *to, const uint4 *row) {
    const struct shown *all = show((struct shown){.address = row});
    for (int matrix = 0; matrix < 4; matrix++)
        to[matrix] = ((const uint32_t *)all[matrix * 8 + lane() / 4].address)[lane() % 4];
}
// The same of the transposed matrices: elements 2 (l % 4) and the next of column l / 4.
static void load_transposed(uint32_t *to, const uint4 *row) {
    const struct shown *all = show((struct shown){.address = row});
    for (int matrix = 0; matrix < 4; matrix++) {
        const unsigned short *low = all[matrix * 8 + lane() % 4 * 2].address;
        const unsigned short *high = all[matrix * 8 + lane() % 4 * 2 + 1].address;
        to[matrix] = low[lane() / 4] | (uint32_t)high[lane() / 4] << 16;
    }
}

static float half_of(uint32_t pair, int is_high) { return to_float((unsigned short)(is_high ? pair >> 16 : pair)); }

// PTX ISA, mma.m16n8k16. a: rows l/4 and l/4 + 8, columns 2(l%4).. and + 8; b: rows 2(l%4).. and + 8, column l/4;
// c: rows l/4 and l/4 + 8, columns 2(l%4)...
static void multiply(float *c, const uint32_t *a, uint32_t b0, uint32_t b1) {
    const struct shown *all = show((struct shown){.words = {a[0], a[1], a[2], a[3], b0, b1}});
    for (int i = 0; i < 4; i++) {
        const int row = lane() / 4, column = lane() % 4 * 2 + i % 2, is_lower = i / 2;
        for (int k = 0; k < 16; k++) {
            const uint32_t *left = all[row * 4 + k % 8 / 2].words, *right = all[column * 4 + k % 8 / 2].words;
            c[i] += half_of(left[k / 8 * 2 + is_lower], k % 2) * half_of(right[4 + k / 8], k % 2);
        }
    }
}
#endif
