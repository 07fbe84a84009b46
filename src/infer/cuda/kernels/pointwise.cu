// Everything between the matrix products and the attentions.

struct embed_arguments {
    element *x;                // [n_tokens, width]
    const int *tokens;         // [n_tokens]
    const int *positions;      // [n_tokens]
    const element *embedding;  // [n_vocab, width]
    const float *table;        // [n_positions, width]
    int width;
};

// x = embedding[token] + table[position]. One block a token.
KERNEL(128, embed, embed_arguments) {
    const element *from = a.embedding + (long long)a.tokens[blockIdx.x] * a.width;
    const float *position = a.table + (long long)a.positions[blockIdx.x] * a.width;
    element *x = a.x + (long long)blockIdx.x * a.width;
    for (int i = threadIdx.x; i < a.width; i += blockDim.x) x[i] = from_float(to_float(from[i]) + position[i]);
}

struct layer_norm_arguments {
    element *out;       // [n_rows, width]
    element *x;         // [.., width]
    const int *rows;    // [n_rows]: which rows of x; 0: the first n_rows
    const float *gamma; // [width]
    const float *beta;  // [width]
    const float *bias;  // [width], added to x afterwards, for the product that is accumulated onto x next; 0: none
    int width;          // at most 2048
    float epsilon;
};

// out = (x - mean) / sqrt(variance + epsilon) * gamma + beta. One block a row.
KERNEL(128, layer_norm, layer_norm_arguments) {
    SHARED float row[2048];
    SHARED float scratch[2][4];
    const int index = a.rows ? a.rows[blockIdx.x] : (int)blockIdx.x;
    element *x = a.x + (long long)index * a.width;
    element *out = a.out + (long long)blockIdx.x * a.width;
    float values[VECTOR];
    float sum = 0;
    for (int i = threadIdx.x * VECTOR; i < a.width; i += 128 * VECTOR) {
        load_vector(x + i, values);
        UNROLL
        for (int j = 0; j < VECTOR; j++) {
            row[i + j] = values[j];
            sum += values[j];
        }
    }
    const float mean = sum_of_block(sum, scratch[0]) / a.width;
    float squares = 0;
    // A thread reads only what it has written itself.
    for (int i = threadIdx.x * VECTOR; i < a.width; i += 128 * VECTOR) {
        UNROLL
        for (int j = 0; j < VECTOR; j++) squares += (row[i + j] - mean) * (row[i + j] - mean);
    }
    const float variance = sum_of_block(squares, scratch[1]) / a.width;
    const float scale = 1.0f / sqrtf(variance + a.epsilon);
    for (int i = threadIdx.x * VECTOR; i < a.width; i += 128 * VECTOR) {
        UNROLL
        for (int j = 0; j < VECTOR; j++) values[j] = (row[i + j] - mean) * scale * a.gamma[i + j] + a.beta[i + j];
        store_vector(out + i, values);
        if (a.bias) {
            UNROLL
            for (int j = 0; j < VECTOR; j++) values[j] = row[i + j] + a.bias[i + j];
            store_vector(x + i, values);
        }
    }
}

struct bias_gelu_arguments {
    element *x;         // [n_windows, n_rows, width], windows `window_stride` elements apart; changed in place
    const float *bias;  // [width]
    const float *table; // [n_rows, width], added after the GELU; 0: none
    long long window_stride;
    int n_rows;
    int width;
};

// x = gelu(x + bias) + table, the exact form of GELU. Grid: 128-vector pieces of a window, windows.
KERNEL(128, bias_gelu, bias_gelu_arguments) {
    const long long at = ((long long)blockIdx.x * 128 + threadIdx.x) * VECTOR;
    if (at < (long long)a.n_rows * a.width) {
        element *x = a.x + blockIdx.y * a.window_stride + at;
        const int column = (int)(at % a.width);
        float values[VECTOR];
        load_vector(x, values);
        UNROLL
        for (int j = 0; j < VECTOR; j++) {
            const float y = values[j] + a.bias[column + j];
            values[j] = 0.5f * y * (1.0f + erff(y * 0.70710678118654752f));
            if (a.table) values[j] += a.table[at + j];
        }
        store_vector(x, values);
    }
}

struct mel_rows_arguments {
    element *out;     // [n_windows, n_frames + 2, n_mels]: time-major, with a row of zeros at both ends
    const float *mel; // [n_windows, n_mels, n_frames]
    int n_mels;
    int n_frames;
};

// Turns log-mel spectra into the rows that the first convolution multiplies. Grid: 32 rows, 32 bands, windows.
KERNEL(128, mel_rows, mel_rows_arguments) {
    SHARED float tile[32][33];
    const int column = threadIdx.x % 32, line = threadIdx.x / 32;
    const int first_row = blockIdx.x * 32, first_band = blockIdx.y * 32;
    const float *mel = a.mel + (long long)blockIdx.z * a.n_mels * a.n_frames;
    element *out = a.out + (long long)blockIdx.z * (a.n_frames + 2) * a.n_mels;
    for (int i = line; i < 32; i += 4) {
        const int band = first_band + i, frame = first_row + column - 1;
        const int is_inside = band < a.n_mels && frame >= 0 && frame < a.n_frames;
        tile[i][column] = is_inside ? mel[(long long)band * a.n_frames + frame] : 0.0f;
    }
    synchronize();
    for (int i = line; i < 32; i += 4) {
        const int row = first_row + i, band = first_band + column;
        if (row < a.n_frames + 2 && band < a.n_mels) out[(long long)row * a.n_mels + band] = from_float(tile[column][i]);
    }
}

struct append_arguments {
    const element *projected;         // [n_tokens, 3 * width]: queries, keys, values
    const unsigned long long *places; // [n_tokens]: where the token's keys of layer 0 go
    long long layer_offset;           // elements from there to the same place of this layer
    long long value_offset;           // elements from keys to values
    int width;
};

// Copies new keys and values to the caches of their rows. One block a token.
KERNEL(128, append, append_arguments) {
    const element *from = a.projected + (long long)blockIdx.x * 3 * a.width + a.width;
    element *keys = (element *)a.places[blockIdx.x] + a.layer_offset;
    for (int i = threadIdx.x * VECTOR; i < a.width; i += 128 * VECTOR) {
        *(uint4 *)(keys + i) = *(const uint4 *)(from + i);
        *(uint4 *)(keys + a.value_offset + i) = *(const uint4 *)(from + a.width + i);
    }
}

struct select_rows_arguments {
    element *to;         // [n_rows, n_planes, plane]
    const element *from; // [.., n_planes, plane]
    const int *rows;     // [n_rows]: row i continues row rows[i]
    long long plane;     // elements of the keys, or of the values, of one layer
    long long n_used;    // of which are used, from the first on
    int n_planes;
};

// Reorders the rows of a cache. Grid: planes, new rows.
KERNEL(128, select_rows, select_rows_arguments) {
    const long long to = ((long long)blockIdx.y * a.n_planes + blockIdx.x) * a.plane;
    const long long from = ((long long)a.rows[blockIdx.y] * a.n_planes + blockIdx.x) * a.plane;
    for (long long i = threadIdx.x * VECTOR; i < a.n_used; i += 128 * VECTOR)
        *(uint4 *)(a.to + to + i) = *(const uint4 *)(a.from + from + i);
}
