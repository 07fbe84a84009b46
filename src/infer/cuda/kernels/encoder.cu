// The encoder's attention: many queries over as many keys, on the tensor cores, scores never leaving the registers.
// Source of the recurrence: Dao 2023, FlashAttention-2, algorithm 1 (forward). Fragments' layouts: PTX ISA, mma.m16n8k16.

struct flash_arguments {
    element *out;             // [n_windows, n_positions, width]
    const element *projected; // [n_windows, n_positions, 3 * width]: queries, keys, values
    const float *bias;        // [width], of the queries
    int n_positions;
    int width;
};

#if ELEMENT != 32
#define KEYS 64        // keys in shared memory at once
#define ROW_TILES 2    // tiles of 16 queries a warp
#define QUERIES (4 * ROW_TILES * 16)

#ifdef __CUDACC__
DEVICE unsigned shared_address(const void *p) {
    unsigned address;
    asm("{ .reg .u64 full; cvta.to.shared.u64 full, %1; cvt.u32.u64 %0, full; }" : "=r"(address) : "l"(p));
    return address;
}

// Copies 16 bytes to shared memory, or zeros; done after copy_wait().
DEVICE void copy_async(uint4 *to, const void *from, int is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(is_there ? 16 : 0) : "memory");
}
DEVICE void copy_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most one group of copies is under way.
DEVICE void copy_wait_but_one(void) { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

// Four 8 x 8 matrices; lane l names row l % 8 of matrix l / 8.
DEVICE void load_matrices(unsigned *to, const uint4 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void load_transposed(unsigned *to, const uint4 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}

#if ELEMENT == 16
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#endif
// c += a x b for a of 16 x 16 and b of 16 x 8.
DEVICE void multiply(float *c, const unsigned *a, unsigned b0, unsigned b1) {
    asm(MMA "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE unsigned pack(float low, float high) {
    unsigned packed;
#if ELEMENT == 16
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#endif
    return packed;
}
#endif

// Where a tile keeps 16 bytes: rows of 8 such pieces, shuffled so that a column's pieces lie in different banks.
DEVICE int swizzled(int row, int piece) { return row * 8 + (piece ^ (row & 7)); }

DEVICE void copy_tile(uint4 *to, const element *from, long long stride, int first, int n_positions) {
    for (int i = threadIdx.x; i < KEYS * 8; i += 128) {
        const int row = i / 8, piece = i % 8, is_there = first + row < n_positions;
        copy_async(&to[swizzled(row, piece)], from + (is_there ? first + row : 0) * stride + piece * 8, is_there);
    }
}

// Grid: blocks of 128 queries, heads, windows.
KERNEL(128, flash, flash_arguments) {
    SHARED uint4 tiles[2][2][KEYS * 8];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int quad = lane / 4, pair = lane % 4 * 2;
    const int head = blockIdx.y * HEAD, n = a.n_positions;
    const long long stride = 3LL * a.width;
    const element *queries = a.projected + blockIdx.z * n * stride + head;
    const element *keys = queries + a.width, *values = keys + a.width;
    const int first_query = blockIdx.x * QUERIES + warp * ROW_TILES * 16;

    unsigned query[ROW_TILES][4][4];
    UNROLL
    for (int tile = 0; tile < ROW_TILES; tile++) {
        UNROLL
        for (int i = 0; i < 16; i++) {
            const int row = first_query + tile * 16 + quad + i % 2 * 8, column = i / 4 * 16 + pair + i / 2 % 2 * 8;
            const unsigned raw = *(const unsigned *)(queries + min_int(row, n - 1) * stride + column);
            query[tile][i / 4][i % 4] = pack(to_float((element)(raw & 0xffffu)) + a.bias[head + column],
                                             to_float((element)(raw >> 16)) + a.bias[head + column + 1]);
        }
    }
    float mixed[ROW_TILES][8][4], max[ROW_TILES][2], sum[ROW_TILES][2];
    UNROLL
    for (int tile = 0; tile < ROW_TILES; tile++) {
        UNROLL
        for (int i = 0; i < 32; i++) mixed[tile][i / 4][i % 4] = 0;
        max[tile][0] = max[tile][1] = NEVER, sum[tile][0] = sum[tile][1] = 0;
    }

    copy_tile(tiles[0][0], keys, stride, 0, n);
    copy_tile(tiles[0][1], values, stride, 0, n);
    copy_commit();
    for (int first = 0, stage = 0; first < n; first += KEYS, stage ^= 1) {
        if (first + KEYS < n) {
            copy_tile(tiles[stage ^ 1][0], keys, stride, first + KEYS, n);
            copy_tile(tiles[stage ^ 1][1], values, stride, first + KEYS, n);
        }
        // An empty group at the end, so that "all but one" always means this tile.
        copy_commit();
        copy_wait_but_one();
        synchronize();

        // Scores: [16 queries, 8 keys] in four registers of each lane, eight of these a tile.
        float score[ROW_TILES][8][4];
        UNROLL
        for (int i = 0; i < 8; i++) {
            UNROLL
            for (int tile = 0; tile < ROW_TILES; tile++) score[tile][i][0] = score[tile][i][1] = score[tile][i][2] = score[tile][i][3] = 0;
            UNROLL
            for (int half = 0; half < 2; half++) {
                unsigned key[4];
                load_matrices(key, &tiles[stage][0][swizzled(i * 8 + lane % 8, half * 4 + lane / 8)]);
                UNROLL
                for (int tile = 0; tile < ROW_TILES; tile++) {
                    multiply(score[tile][i], query[tile][half * 2], key[0], key[1]);
                    multiply(score[tile][i], query[tile][half * 2 + 1], key[2], key[3]);
                }
            }
        }
        unsigned weight[ROW_TILES][4][4];
        UNROLL
        for (int tile = 0; tile < ROW_TILES; tile++) {
            UNROLL
            for (int row = 0; row < 2; row++) {
                float joint = max[tile][row];
                UNROLL
                for (int i = 0; i < 16; i++) {
                    float *s = &score[tile][i / 2][row * 2 + i % 2];
                    // 1 / sqrt(64), and powers of 2 instead of e.
                    *s = first + i / 2 * 8 + pair + i % 2 < n ? *s * (0.125f * LOG2_E) : NEVER;
                    joint = max_float(joint, *s);
                }
                joint = max_float(joint, shuffle(joint, 1));
                joint = max_float(joint, shuffle(joint, 2));
                const float keep = exp2_fast(max[tile][row] - joint);
                float added = 0;
                UNROLL
                for (int i = 0; i < 16; i++) {
                    float *s = &score[tile][i / 2][row * 2 + i % 2];
                    *s = exp2_fast(*s - joint);
                    added += *s;
                }
                max[tile][row] = joint;
                sum[tile][row] = sum[tile][row] * keep + added;
                UNROLL
                for (int i = 0; i < 16; i++) mixed[tile][i / 2][row * 2 + i % 2] *= keep;
            }
            UNROLL
            for (int i = 0; i < 16; i++) {
                const float *s = &score[tile][i / 4 * 2 + i / 2 % 2][i % 2 * 2];
                weight[tile][i / 4][i % 4] = pack(s[0], s[1]);
            }
        }
        UNROLL
        for (int step = 0; step < 4; step++) {
            UNROLL
            for (int i = 0; i < 8; i += 2) {
                unsigned value[4];
                load_transposed(value, &tiles[stage][1][swizzled(step * 16 + lane % 16, i + lane / 16)]);
                UNROLL
                for (int tile = 0; tile < ROW_TILES; tile++) {
                    multiply(mixed[tile][i], weight[tile][step], value[0], value[1]);
                    multiply(mixed[tile][i + 1], weight[tile][step], value[2], value[3]);
                }
            }
        }
        synchronize();
    }

    UNROLL
    for (int tile = 0; tile < ROW_TILES; tile++) {
        UNROLL
        for (int row = 0; row < 2; row++) {
            float all = sum[tile][row];
            all += shuffle(all, 1);
            all += shuffle(all, 2);
            const int query_row = first_query + tile * 16 + quad + row * 8;
            if (query_row < n) {
                element *out = a.out + ((long long)blockIdx.z * n + query_row) * a.width + head + pair;
                UNROLL
                for (int i = 0; i < 8; i++)
                    *(unsigned *)(out + i * 8) = pack(mixed[tile][i][row * 2] / all, mixed[tile][i][row * 2 + 1] / all);
            }
        }
    }
}
#endif
