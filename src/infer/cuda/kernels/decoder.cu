// Attention of few queries over many keys, as a decoder has it: limited by reading keys and values once.

// Queries that share their keys: a row's next tokens over its own past, or a window's rows over its audio.
struct attend_item {
    unsigned long long keys; // address of layer 0's
    int n_keys;              // that the first query sees
    int step;                // how many more each following query sees
    int first_query;
    int n_queries;           // at most 8
};

struct attend_arguments {
    element *out;                    // [n_queries, width]
    const element *queries;          // rows `query_stride` elements apart
    const float *bias;               // [width], of the queries
    const struct attend_item *items; // [grid.x]
    float *partial;                  // [n_queries, n_heads, n_splits, 2 + 64]: max, sum, mixed values; 0 if not split
    long long layer_offset;          // elements from an item's keys to those of this layer
    long long value_offset;          // elements from keys to values
    long long key_stride;            // elements between keys
    int query_stride;
    int width;
};

#define MAX_QUERIES 8
#define LANES (HEAD / VECTOR)  // threads that share one key
#define GROUPS (128 / LANES)   // keys in work at once

// Takes another part of the same softmax into this one.
DEVICE void merge(float *max, float *sum, float *mixed, float other_max, float other_sum, const float *other, int n) {
    const float joint = max_float(*max, other_max);
    const float keep = exp2_fast(*max - joint), add = exp2_fast(other_max - joint);
    *sum = *sum * keep + other_sum * add;
    for (int j = 0; j < n; j++) mixed[j] = mixed[j] * keep + other[j] * add;
    *max = joint;
}

DEVICE void attend(const struct attend_arguments *a, const int n_queries_limit) {
    SHARED float warp_max[4][MAX_QUERIES], warp_sum[4][MAX_QUERIES], warp_mixed[4][MAX_QUERIES][HEAD];
    const struct attend_item item = a->items[blockIdx.x];
    const int head = blockIdx.y * HEAD, n_splits = gridDim.z;
    const int group = threadIdx.x / LANES, part = threadIdx.x % LANES * VECTOR;
    const int n_queries = min_int(item.n_queries, n_queries_limit);
    const element *keys = (const element *)item.keys + a->layer_offset + head + part;
    const element *values = keys + a->value_offset;

    float query[MAX_QUERIES][16 / sizeof(element)], mixed[MAX_QUERIES][16 / sizeof(element)];
    float max[MAX_QUERIES], sum[MAX_QUERIES];
    UNROLL
    for (int i = 0; i < n_queries_limit; i++) {
        const int row = item.first_query + min_int(i, n_queries - 1);
        load_vector(a->queries + (long long)row * a->query_stride + head + part, query[i]);
        UNROLL
        for (int j = 0; j < VECTOR; j++) {
            // 1 / sqrt(64), and powers of 2 instead of e.
            query[i][j] = (query[i][j] + a->bias[head + part + j]) * (0.125f * LOG2_E);
            mixed[i][j] = 0;
        }
        max[i] = NEVER, sum[i] = 0;
    }

    const int n_seen = item.n_keys + (n_queries - 1) * item.step;
    const int span = (n_seen + n_splits - 1) / n_splits;
    const int start = blockIdx.z * span, end = min_int(start + span, n_seen);
#ifdef __CUDACC__
#pragma unroll 2
#endif
    for (int first = start; first < end; first += GROUPS) {
        const int key = first + group, is_key = key < end;
        const long long at = (long long)(is_key ? key : start) * a->key_stride;
        float k[16 / sizeof(element)], v[16 / sizeof(element)];
        load_vector(keys + at, k);
        load_vector(values + at, v);
        UNROLL
        for (int i = 0; i < n_queries_limit; i++) {
            float score = 0;
            UNROLL
            for (int j = 0; j < VECTOR; j++) score += query[i][j] * k[j];
            for (int mask = LANES / 2; mask > 0; mask /= 2) score += shuffle(score, mask);
            const int is_seen = is_key && key < item.n_keys + i * item.step;
            const float joint = max_float(max[i], is_seen ? score : NEVER);
            const float keep = exp2_fast(max[i] - joint), add = is_seen ? exp2_fast(score - joint) : 0.0f;
            sum[i] = sum[i] * keep + add;
            UNROLL
            for (int j = 0; j < VECTOR; j++) mixed[i][j] = mixed[i][j] * keep + v[j] * add;
            max[i] = joint;
        }
    }

    const int warp = threadIdx.x / WARP;
    UNROLL
    for (int i = 0; i < n_queries_limit; i++) {
        for (int mask = LANES; mask < WARP; mask *= 2) {
            float other[16 / sizeof(element)];
            const float other_max = shuffle(max[i], mask), other_sum = shuffle(sum[i], mask);
            UNROLL
            for (int j = 0; j < VECTOR; j++) other[j] = shuffle(mixed[i][j], mask);
            merge(&max[i], &sum[i], mixed[i], other_max, other_sum, other, VECTOR);
        }
        if (threadIdx.x % WARP < LANES) {
            warp_max[warp][i] = max[i], warp_sum[warp][i] = sum[i];
            UNROLL
            for (int j = 0; j < VECTOR; j++) warp_mixed[warp][i][part + j] = mixed[i][j];
        }
    }
    synchronize();
    for (int at = threadIdx.x; at < n_queries * HEAD; at += 128) {
        const int i = at / HEAD, j = at % HEAD;
        float all_max = warp_max[0][i], all_sum = warp_sum[0][i], value = warp_mixed[0][i][j];
        for (int other = 1; other < 4; other++)
            merge(&all_max, &all_sum, &value, warp_max[other][i], warp_sum[other][i], &warp_mixed[other][i][j], 1);
        const long long row = item.first_query + i;
        if (a->partial) {
            float *to = a->partial + ((row * gridDim.y + blockIdx.y) * n_splits + blockIdx.z) * (2 + HEAD);
            if (j == 0) to[0] = all_max, to[1] = all_sum;
            to[2 + j] = value;
        } else {
            a->out[row * a->width + head + j] = from_float(value / all_sum);
        }
    }
}

// Grid: items, heads, splits of the keys. The second is for items of one query each.
KERNEL(128, attend_many, attend_arguments) { attend(&a, MAX_QUERIES); }
KERNEL(128, attend_one, attend_arguments) { attend(&a, 1); }

struct merge_splits_arguments {
    element *out;         // [n_queries, n_heads * 64]
    const float *partial; // [n_queries, n_heads, n_splits, 2 + 64]
    int n_splits;
};

// One softmax of the parts that attend() left. Grid: queries, heads; 64 of the threads work.
KERNEL(128, merge_splits, merge_splits_arguments) {
    const long long head = (long long)blockIdx.x * gridDim.y + blockIdx.y;
    const float *from = a.partial + head * a.n_splits * (2 + HEAD);
    const int j = threadIdx.x;
    if (j < HEAD) {
        float max = from[0], sum = from[1], value = from[2 + j];
        for (int split = 1; split < a.n_splits; split++) {
            const float *other = from + split * (2 + HEAD);
            merge(&max, &sum, &value, other[0], other[1], other + 2 + j, 1);
        }
        a.out[head * HEAD + j] = from_float(value / sum);
    }
}

struct scores_arguments {
    float *out;             // [n_queries, n_keys]
    const element *queries; // of one head, rows `query_stride` elements apart
    const float *bias;      // [64]
    const element *keys;    // of one head, rows `key_stride` elements apart
    long long key_stride;
    int query_stride;
    int n_keys;
};

// The scaled products themselves, for word times. Grid: 128 keys, queries.
KERNEL(128, scores, scores_arguments) {
    SHARED float query[HEAD];
    if (threadIdx.x < HEAD)
        query[threadIdx.x] = to_float(a.queries[(long long)blockIdx.y * a.query_stride + threadIdx.x]) + a.bias[threadIdx.x];
    synchronize();
    const int key = blockIdx.x * 128 + threadIdx.x;
    if (key < a.n_keys) {
        const element *from = a.keys + key * a.key_stride;
        float score = 0, values[16 / sizeof(element)];
        for (int i = 0; i < HEAD; i += VECTOR) {
            load_vector(from + i, values);
            UNROLL
            for (int j = 0; j < VECTOR; j++) score += query[i + j] * values[j];
        }
        a.out[(long long)blockIdx.y * a.n_keys + key] = score * 0.125f;
    }
}
