// Greedy decoding's choice, where the scores are: only the token and its log probability leave the device.

// Which tokens a row may choose: text from `text_from` up to the first time token, times in [time_from, time_to),
// none of which is masked.
struct choose_rule {
    int text_from;
    int time_from;
    int time_to;
    int mask; // which of the masks
};

struct choose_result {
    int token;
    float log_probability;
};

struct choose_arguments {
    struct choose_result *out;      // [n_rows]
    const float *logits;            // [n_rows, n_vocab]
    const struct choose_rule *rules;// [n_rows]
    const unsigned *masks;          // [.., ceil(n_vocab / 32)], a set bit forbids the token
    int n_vocab;
    int timestamp_begin;
};

#define CHOOSE_THREADS 512

// The largest of some scores, the first token that has it, and the sum of all relative to it.
struct best {
    float max;
    float sum;
    int token;
};

DEVICE struct best better(struct best a, struct best b) {
    struct best joint;
    joint.max = max_float(a.max, b.max);
    joint.sum = a.sum * exp2_fast((a.max - joint.max) * LOG2_E) + b.sum * exp2_fast((b.max - joint.max) * LOG2_E);
    joint.token = a.max > b.max || (a.max == b.max && a.token < b.token) ? a.token : b.token;
    return joint;
}

DEVICE struct best best_of_range(const float *logits, const unsigned *mask, int from, int to) {
    struct best found;
    found.max = NEVER, found.sum = 0, found.token = 0x7fffffff;
    for (int token = from + threadIdx.x; token < to; token += CHOOSE_THREADS) {
        struct best one;
        one.max = logits[token], one.sum = 1, one.token = token;
        if (!(mask[token / 32] >> token % 32 & 1) && one.max > NEVER) found = better(found, one);
    }
    return found;
}

DEVICE struct best best_of_block(struct best mine, struct best *scratch) {
    for (int lane_mask = WARP / 2; lane_mask > 0; lane_mask /= 2) {
        struct best other;
        other.max = shuffle(mine.max, lane_mask), other.sum = shuffle(mine.sum, lane_mask);
        other.token = shuffle_int(mine.token, lane_mask);
        mine = better(mine, other);
    }
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = mine;
    synchronize();
    struct best all = scratch[0];
    for (int warp = 1; warp < CHOOSE_THREADS / WARP; warp++) all = better(all, scratch[warp]);
    return all;
}

// One block a row. All times together being likelier than any text, it is a time.
// Source: openai/whisper decoding.py (20250625), ApplyTimestampRules and GreedyDecoder.
KERNEL(CHOOSE_THREADS, choose, choose_arguments) {
    SHARED struct best scratch[2][CHOOSE_THREADS / WARP];
    const struct choose_rule rule = a.rules[blockIdx.x];
    const float *logits = a.logits + (long long)blockIdx.x * a.n_vocab;
    const unsigned *mask = a.masks + (long long)rule.mask * ((a.n_vocab + 31) / 32);
    const struct best text = best_of_block(best_of_range(logits, mask, rule.text_from, a.timestamp_begin), scratch[0]);
    const struct best time = best_of_block(best_of_range(logits, mask, rule.time_from, rule.time_to), scratch[1]);
    if (threadIdx.x == 0) {
        const int is_time = time.sum > 0 && time.max + logf(time.sum) > text.max;
        const struct best all = is_time ? time : better(text, time);
        struct choose_result result;
        result.token = all.token;
        result.log_probability = -logf(all.sum);
        a.out[blockIdx.x] = result;
    }
}
