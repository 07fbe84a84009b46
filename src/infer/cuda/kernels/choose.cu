// Greedy decoding's choice and draws, where the scores are: only tokens and their log probabilities leave the device.
// Each choice also works out what may come after its token, so that the next step need not wait to be told.

#define MAX_AHEAD 4

// Which tokens a row may choose: text in [text_from, time_begin), times in [time_from, time_to), none of which is masked;
// and how to choose.
struct choose_rule {
    unsigned long long mask;      // address of bits, [ceil(n_vocab / 32)]: a set one forbids its token; 0 forbids none
    unsigned long long mask_next; // the same of the tokens that follow
    int row;                      // of the scores
    int text_from;
    int time_from;
    int time_to;
    int time_begin;               // the first time token; n_vocab where times have no rules
    int end_of_text;
    int floor;                    // the first time that may come after more text
    int opens;                    // whether a time that comes now opens a segment, not ends one
    int observed;                 // the token whose log probability is told; -1: of the one chosen
    float temperature;            // 0: the likeliest; above: drawn
    float uniforms[MAX_AHEAD];    // of the draws, in [0, 1)
};

struct choose_result {
    int token; // 0x7fffffff: none was allowed
    float log_probability;
};

struct choose_arguments {
    struct choose_result *out;  // [n_choices]
    const float *logits;        // rows of n_vocab
    struct choose_rule *rules;  // [n_choices]
    unsigned *next;             // [n_choices], the tokens to feed
    int n_vocab;
    int ahead;                  // choices of the same rule before this one
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

DEVICE int is_allowed(const float *logits, const unsigned *mask, int token) {
    return !(mask && mask[token / 32] >> token % 32 & 1) && logits[token] > NEVER;
}

DEVICE struct best best_of_range(const float *logits, const unsigned *mask, int from, int to) {
    struct best found;
    found.max = NEVER, found.sum = 0, found.token = 0x7fffffff;
    for (int token = from + threadIdx.x; token < to; token += CHOOSE_THREADS) {
        struct best one;
        one.max = logits[token], one.sum = 1, one.token = token;
        if (is_allowed(logits, mask, token)) found = better(found, one);
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

// A token drawn with probability softmax(logits / temperature) from text_from.. and the times, or from the times alone:
// the first whose weight, and those before it, reach `uniform` of all. Known to thread 0 alone.
DEVICE int draw(const float *logits, const struct choose_rule *rule, int is_time, struct best all, float uniform) {
    SHARED double sums[CHOOSE_THREADS];
    const unsigned *mask = (const unsigned *)rule->mask;
    const int n_text = is_time ? 0 : rule->time_begin - rule->text_from;
    const int n = n_text + rule->time_to - rule->time_from, span = (n + CHOOSE_THREADS - 1) / CHOOSE_THREADS;
    const float scale = LOG2_E / rule->temperature;
    const int start = threadIdx.x * span;
    double sum = 0;
    for (int i = start; i < min_int(start + span, n); i++) {
        const int token = i < n_text ? rule->text_from + i : rule->time_from + i - n_text;
        if (is_allowed(logits, mask, token)) sum += exp2_fast((logits[token] - all.max) * scale);
    }
    sums[threadIdx.x] = sum;
    synchronize();
    if (threadIdx.x > 0) return all.token;
    double left = 0;
    for (int i = 0; i < CHOOSE_THREADS; i++) left += sums[i];
    left *= uniform;
    int part = 0;
    while (part < CHOOSE_THREADS - 1 && left >= sums[part]) left -= sums[part++];
    for (int i = part * span; i < min_int(part * span + span, n); i++) {
        const int token = i < n_text ? rule->text_from + i : rule->time_from + i - n_text;
        if (!is_allowed(logits, mask, token)) continue;
        left -= exp2_fast((logits[token] - all.max) * scale);
        if (left < 0) return token;
    }
    return all.token;
}

// What may come after a token. Source: openai/whisper decoding.py (20250625), ApplyTimestampRules; rules.rs says the same.
DEVICE void go_on(struct choose_rule *rule, int token, int n_vocab) {
    const int is_time = token >= rule->time_begin;
    rule->mask = rule->mask_next;
    rule->text_from = is_time && !rule->opens ? rule->end_of_text : 0;
    if (is_time) rule->floor = token + 1;
    rule->time_from = !is_time ? rule->floor : rule->opens ? n_vocab : token;
    rule->time_to = n_vocab;
    rule->opens = is_time;
}

// One block a choice. All times together being likelier than any text, it is a time.
// Source: openai/whisper decoding.py (20250625), ApplyTimestampRules and GreedyDecoder.
KERNEL(CHOOSE_THREADS, choose, choose_arguments) {
    SHARED struct best scratch[2][CHOOSE_THREADS / WARP];
    struct choose_rule rule = a.rules[blockIdx.x];
    const float *logits = a.logits + (long long)rule.row * a.n_vocab;
    const unsigned *mask = (const unsigned *)rule.mask;
    const struct best text = best_of_block(best_of_range(logits, mask, rule.text_from, rule.time_begin), scratch[0]);
    const struct best time = best_of_block(best_of_range(logits, mask, rule.time_from, rule.time_to), scratch[1]);
    const int is_time = time.sum > 0 && time.max + logf(time.sum) > text.max;
    const struct best all = is_time ? time : better(text, time);
    const int is_possible = all.sum > 0;
    int token = all.token;
    if (rule.temperature > 0 && is_possible) token = draw(logits, &rule, is_time, all, rule.uniforms[a.ahead]);
    if (threadIdx.x == 0) {
        const int told = rule.observed < 0 ? token : rule.observed;
        struct choose_result result;
        result.token = token;
        result.log_probability = is_possible ? logits[told] - all.max - logf(all.sum) : NEVER;
        a.out[blockIdx.x] = result;
        a.next[blockIdx.x] = is_possible ? token : 0;
        go_on(&rule, is_possible ? token : 0, a.n_vocab);
        a.rules[blockIdx.x] = rule;
    }
}
