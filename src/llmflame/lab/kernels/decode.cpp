// A decode step of one sequence on a CPU: everything between a token and the next one, in one call.
//
// A step may have several tokens, whose guesses it checks (speculation): a weight is read once for all of them.
// Weights are read once, in the order in which they lie, by threads that share the rows of each product.
// Activations and sums are float32, whatever the weights are. `cpu_step.py` fills the structs and says what
// they mean; the decoder itself is src/llmflame/scratch/model.py.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <omp.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr int LANES = 16;
constexpr int ROWS = 4;  // rows at a time: each is a stream of its own for the prefetcher
constexpr int TOKENS = 8;  // of a step at most
constexpr int GROUP = 64;  // weights of an int4 group, as in modules/int4.py

typedef float Floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t Words __attribute__((vector_size(64), aligned(4), may_alias));
typedef int8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));


inline Floats wide(const float *from) { return *reinterpret_cast<const Floats *>(from); }
#ifdef __AVX512F__
// What the compiler makes of a conversion crosses lanes four times; these instructions do it once.
inline Floats wide(const uint16_t *from) {
    __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
    return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}
inline Floats wide(const int8_t *from) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from));
    return (Floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
#else
inline Floats wide(const uint16_t *from) {
    Words words = __builtin_convertvector(*reinterpret_cast<const Halves *>(from), Words) << 16;
    return reinterpret_cast<Floats &>(words);
}
inline Floats wide(const int8_t *from) {
    return __builtin_convertvector(*reinterpret_cast<const Bytes *>(from), Floats);
}
#endif
inline float one(const float *from) { return *from; }
inline float one(const uint16_t *from) {
    uint32_t word = uint32_t(*from) << 16;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}
inline float one(const int8_t *from) { return *from; }
inline void put(float *to, float value) { *to = value; }
inline void put(uint16_t *to, float value) {  // to the nearest, ties to even, as torch rounds
    uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    *to = uint16_t((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
}
// The eight words of a group, twice: a lane of the first half reads one of a word's levels, one of the second
// half the level after it.
inline Words group_of(const uint8_t *from) {
    Words words;
    std::memcpy(&words, from, sizeof words / 2);
    std::memcpy(reinterpret_cast<char *>(&words) + sizeof words / 2, from, sizeof words / 2);
    return words;
}
inline Floats levels(Words group, int first) {
    constexpr Words PLACES = {0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
    return __builtin_convertvector((group >> (PLACES + 4 * first)) & 0xF, Floats);
}
inline float sum(Floats values) {
#ifdef __AVX512F__
    return _mm512_reduce_add_ps((__m512)values);
#else
    for (int width = LANES / 2; width; width /= 2)  // halves added to each other: no chain of sixteen
        for (int lane = 0; lane < width; ++lane) values[lane] += values[lane + width];
    return values[0];
#endif
}

}  // namespace

extern "C" {

enum Kind : int32_t { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2, INT4 = 3 };

struct Matrix {
    const void *weight;
    const float *scale, *offset, *bias;  // null where there is none
    int32_t kind, rows, width, unused;
};

struct Layer {
    Matrix qkv, out, gate_up, down;
    const float *norm, *inner_norm, *q_norm, *k_norm;
    void *keys, *values;
};

struct Model {
    const void *embedding;
    const float *norm, *cosines, *sines;
    const Layer *layers;
    float *x, *qkv, *mixed, *inner, *logits, *scores, *normal;
    Matrix head;
    int32_t kind, count, width, inner_width, heads, kv_heads, dim, capacity, threads, unused;
    float epsilon, scale;
};

}

namespace {

// Some rows of a matrix times COUNT vectors, which lie `stride` apart in x and in y. A function of its own for
// each kind and number: nothing is decided inside the loop, and sums of one token don't depend on the others.
template <class Stored, int HEIGHT, int COUNT>
inline void products(const Stored *weight, int width, const float *x, int stride, float *y, int spread) {
    // The rows that come next are asked for already: left to itself a core has too few reads under way.
    const Stored *next = weight + int64_t(HEIGHT) * width;
    Floats total[HEIGHT][COUNT] = {};
    int k = 0;
    for (; k + LANES <= width; k += LANES)
        for (int row = 0; row < HEIGHT; ++row) {
            __builtin_prefetch(next + int64_t(row) * width + k);
            Floats part = wide(weight + int64_t(row) * width + k);
            for (int token = 0; token < COUNT; ++token) total[row][token] += part * wide(x + token * stride + k);
        }
    for (int row = 0; row < HEIGHT; ++row)
        for (int token = 0; token < COUNT; ++token) {
            float all = sum(total[row][token]);
            for (int rest = k; rest < width; ++rest)
                all += one(weight + int64_t(row) * width + rest) * x[token * stride + rest];
            y[token * spread + row] = all;
        }
}

inline float product(const float *weight, int width, const float *x) {
    float y;
    products<float, 1, 1>(weight, width, x, 0, &y, 0);
    return y;
}
inline float product(const uint16_t *weight, int width, const float *x) {
    float y;
    products<uint16_t, 1, 1>(weight, width, x, 0, &y, 0);
    return y;
}

// Rows of 4-bit levels, eight to a word: level l of a group's word w belongs to its column 8 l + w. The offset
// of a group multiplies the sum of its x, which is the same for every row.
template <int HEIGHT>
inline void products_of_levels(const uint8_t *weight, const float *scale, const float *offset, int width,
                               const float *x, const float *sums, float *y) {
    constexpr int BYTES = GROUP / 2;
    int length = width / 2, groups = width / GROUP;
    float shifted[HEIGHT] = {};
    Floats total[HEIGHT] = {};
    for (int group = 0; group < groups; ++group) {
        Words words[HEIGHT];
        Floats part[HEIGHT] = {};
        for (int row = 0; row < HEIGHT; ++row)
            words[row] = group_of(weight + int64_t(row) * length + group * BYTES);
        for (int k = 0; k < GROUP; k += LANES) {
            Floats some = wide(x + group * GROUP + k);
            for (int row = 0; row < HEIGHT; ++row) part[row] += levels(words[row], k / 8) * some;
        }
        for (int row = 0; row < HEIGHT; ++row) {
            __builtin_prefetch(weight + int64_t(HEIGHT + row) * length + group * BYTES);
            total[row] += part[row] * scale[row * groups + group];
            shifted[row] += offset[row * groups + group] * sums[group];
        }
    }
    for (int row = 0; row < HEIGHT; ++row) y[row] = sum(total[row]) + shifted[row];
}

template <class Stored, int COUNT>
void rows_of(const Matrix &matrix, const float *x, int stride, int begin, int end, float *y, int spread) {
    constexpr int HEIGHT = COUNT == 1 ? ROWS : COUNT <= 4 ? 4 : 2;  // sums that fit into the registers
    const Stored *weight = static_cast<const Stored *>(matrix.weight);
    int row = begin, width = matrix.width;
    for (; row + HEIGHT <= end; row += HEIGHT)
        products<Stored, HEIGHT, COUNT>(weight + int64_t(row) * width, width, x, stride, y + row, spread);
    for (; row < end; ++row)
        products<Stored, 1, COUNT>(weight + int64_t(row) * width, width, x, stride, y + row, spread);
}

template <class Stored>
void rows_of_all(const Matrix &matrix, int count, const float *x, int stride, int begin, int end, float *y,
                 int spread) {
    switch (count) {
        case 1: return rows_of<Stored, 1>(matrix, x, stride, begin, end, y, spread);
        case 2: return rows_of<Stored, 2>(matrix, x, stride, begin, end, y, spread);
        case 3: return rows_of<Stored, 3>(matrix, x, stride, begin, end, y, spread);
        case 4: return rows_of<Stored, 4>(matrix, x, stride, begin, end, y, spread);
        case 5: return rows_of<Stored, 5>(matrix, x, stride, begin, end, y, spread);
        case 6: return rows_of<Stored, 6>(matrix, x, stride, begin, end, y, spread);
        case 7: return rows_of<Stored, 7>(matrix, x, stride, begin, end, y, spread);
        default: return rows_of<Stored, TOKENS>(matrix, x, stride, begin, end, y, spread);
    }
}

// As many rows as come in groups of HEIGHT. Returns the first that is left.
template <int HEIGHT>
int levels_from(const Matrix &matrix, const float *x, const float *sums, int begin, int end, float *y) {
    int row = begin, half = matrix.width / 2, groups = matrix.width / GROUP;
    for (; row + HEIGHT <= end; row += HEIGHT)
        products_of_levels<HEIGHT>(static_cast<const uint8_t *>(matrix.weight) + int64_t(row) * half,
                                   matrix.scale + int64_t(row) * groups, matrix.offset + int64_t(row) * groups,
                                   matrix.width, x, sums, y + row);
    return row;
}

void rows_of_levels(const Matrix &matrix, const float *x, int begin, int end, float *y) {
    int groups = matrix.width / GROUP;
    float sums[groups];
    for (int group = 0; group < groups; ++group) {
        sums[group] = 0;
        for (int k = 0; k < GROUP; ++k) sums[group] += x[group * GROUP + k];
    }
    int row = levels_from<ROWS>(matrix, x, sums, begin, end, y);
    levels_from<1>(matrix, x, sums, row, end, y);
}

// y[token][begin..end) = W x[token], with the factor of each row and the bias.
void multiply(const Matrix &matrix, int count, const float *x, int stride, int begin, int end, float *y, int spread) {
    switch (matrix.kind) {
        case FLOAT32: rows_of_all<float>(matrix, count, x, stride, begin, end, y, spread); break;
        case BFLOAT16: rows_of_all<uint16_t>(matrix, count, x, stride, begin, end, y, spread); break;
        case INT8: rows_of_all<int8_t>(matrix, count, x, stride, begin, end, y, spread); break;
        default:
            for (int token = 0; token < count; ++token)
                rows_of_levels(matrix, x + token * stride, begin, end, y + token * spread);
    }
    for (int token = 0; token < count; ++token) {
        if (matrix.kind == INT8)
            for (int row = begin; row < end; ++row) y[token * spread + row] *= matrix.scale[row];
        if (matrix.bias)
            for (int row = begin; row < end; ++row) y[token * spread + row] += matrix.bias[row];
    }
}

// The second half of a matrix' rows: up, where the first is gate.
Matrix upper(Matrix matrix, int64_t rows) {
    int64_t bytes = matrix.kind == FLOAT32 ? 4 : matrix.kind == BFLOAT16 ? 2 : 1;
    int64_t groups = matrix.kind == INT4 ? matrix.width / GROUP : 1;
    int64_t length = matrix.kind == INT4 ? matrix.width / 2 : matrix.width;
    matrix.weight = static_cast<const char *>(matrix.weight) + rows * length * bytes;
    if (matrix.scale) matrix.scale += rows * groups;
    if (matrix.offset) matrix.offset += rows * groups;
    if (matrix.bias) matrix.bias += rows;
    return matrix;
}

// The part of `rows` that a thread makes, in whole blocks of ROWS.
void share_of(int rows, int thread, int threads, int *begin, int *end) {
    int blocks = (rows + ROWS - 1) / ROWS;
    *begin = int(int64_t(blocks) * thread / threads) * ROWS;
    *end = int(int64_t(blocks) * (thread + 1) / threads) * ROWS;
    if (*begin > rows) *begin = rows;
    if (*end > rows) *end = rows;
}

void normalise(const float *x, const float *weight, int width, float epsilon, float *y) {
    float squares = 0;
    for (int k = 0; k < width; ++k) squares += x[k] * x[k];
    float factor = 1 / std::sqrt(squares / width + epsilon);
    for (int k = 0; k < width; ++k) y[k] = x[k] * factor * weight[k];
}

void turn(float *head, const float *norm, const Model &model, int64_t position) {
    int half = model.dim / 2;
    const float *cosine = model.cosines + position * half, *sine = model.sines + position * half;
    if (norm) normalise(head, norm, model.dim, model.epsilon, head);
    for (int d = 0; d < half; ++d) {
        float first = head[d], second = head[d + half];
        head[d] = first * cosine[d] - second * sine[d];
        head[d + half] = second * cosine[d] + first * sine[d];
    }
}

// Keys, turned, and values of the new tokens into the cache.
template <class Stored>
void remember(const Model &model, const Layer &layer, int64_t position, int count, int thread, int threads) {
    int dim = model.dim, length = (model.heads + 2 * model.kv_heads) * dim;
    float key[dim];
    for (int job = thread; job < model.kv_heads * count; job += threads) {
        int head = job % model.kv_heads, token = job / model.kv_heads;
        const float *from = model.qkv + token * length + (model.heads + head) * dim;
        int64_t to = (int64_t(head) * model.capacity + position + token) * dim;
        std::memcpy(key, from, dim * sizeof(float));
        turn(key, layer.k_norm, model, position + token);
        for (int d = 0; d < dim; ++d) {
            put(static_cast<Stored *>(layer.keys) + to + d, key[d]);
            put(static_cast<Stored *>(layer.values) + to + d, from[model.kv_heads * dim + d]);
        }
    }
}

// A new token looks at all columns up to its own.
template <class Stored>
void attend(const Model &model, const Layer &layer, int64_t position, int count, int thread, int threads) {
    int dim = model.dim, length = (model.heads + 2 * model.kv_heads) * dim;
    float query[dim];
    float *scores = model.scores + int64_t(thread) * model.capacity;
    for (int job = thread; job < model.heads * count; job += threads) {
        int head = job % model.heads, token = job / model.heads;
        int64_t begin = int64_t(head / (model.heads / model.kv_heads)) * model.capacity * dim;
        const Stored *keys = static_cast<const Stored *>(layer.keys) + begin;
        const Stored *values = static_cast<const Stored *>(layer.values) + begin;
        int64_t columns = position + token + 1;
        std::memcpy(query, model.qkv + token * length + head * dim, dim * sizeof(float));
        turn(query, layer.q_norm, model, position + token);
        float peak = -INFINITY, total = 0;
        for (int64_t column = 0; column < columns; ++column) {
            scores[column] = product(keys + column * dim, dim, query) * model.scale;
            peak = scores[column] > peak ? scores[column] : peak;
        }
        for (int64_t column = 0; column < columns; ++column) {
            scores[column] = std::exp(scores[column] - peak);
            total += scores[column];
        }
        float *mixed = model.mixed + (token * model.heads + head) * dim;
        for (int d = 0; d < dim; ++d) mixed[d] = 0;
        for (int64_t column = 0; column < columns; ++column) {
            const Stored *past = values + column * dim;
            int d = 0;
            for (; d + LANES <= dim; d += LANES) {
                Floats &part = *reinterpret_cast<Floats *>(mixed + d);
                part += wide(past + d) * scores[column];
            }
            for (; d < dim; ++d) mixed[d] += one(past + d) * scores[column];
        }
        for (int d = 0; d < dim; ++d) mixed[d] /= total;
    }
}

// The rows begin to end of a product of all tokens added to x.
void add(const Model &model, const Matrix &matrix, int count, const float *y, int begin, int end, float *made) {
    multiply(matrix, count, y, matrix.width, begin, end, made, model.width);
    for (int token = 0; token < count; ++token)
        for (int k = begin; k < end; ++k) model.x[token * model.width + k] += made[token * model.width + k];
}

template <class Stored>
void step_of(const Model &model, const int64_t *tokens, int count, int wanted, int64_t position) {
    int width = model.width, inner = model.inner_width;
    for (int token = 0; token < count; ++token) {
        const Stored *row = static_cast<const Stored *>(model.embedding) + tokens[token] * width;
        for (int k = 0; k < width; ++k) model.x[token * width + k] = one(row + k);
    }
#pragma omp parallel num_threads(model.threads)
    {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads(), begin, end;
        // Each thread makes what all products of a token need for itself: cheaper than waiting for another.
        float *normal = model.normal + int64_t(thread) * TOKENS * (width + inner);
        float *up = normal + int64_t(TOKENS) * width;
        auto normalise_all = [&](const float *weight) {
            for (int token = 0; token < count; ++token)
                normalise(model.x + token * width, weight, width, model.epsilon, normal + token * width);
        };
        for (int number = 0; number < model.count; ++number) {
            const Layer &layer = model.layers[number];
            normalise_all(layer.norm);
            share_of(layer.qkv.rows, thread, threads, &begin, &end);
            multiply(layer.qkv, count, normal, width, begin, end, model.qkv, layer.qkv.rows);
#pragma omp barrier
            remember<Stored>(model, layer, position, count, thread, threads);
#pragma omp barrier
            attend<Stored>(model, layer, position, count, thread, threads);
#pragma omp barrier
            share_of(width, thread, threads, &begin, &end);
            add(model, layer.out, count, model.mixed, begin, end, normal);
#pragma omp barrier
            normalise_all(layer.inner_norm);
            share_of(inner, thread, threads, &begin, &end);
            multiply(layer.gate_up, count, normal, width, begin, end, model.inner, inner);
            multiply(upper(layer.gate_up, inner), count, normal, width, begin, end, up, inner);
            for (int token = 0; token < count; ++token)
                for (int k = begin; k < end; ++k) {
                    float &gate = model.inner[token * inner + k];
                    gate *= up[token * inner + k] / (1 + std::exp(-gate));
                }
#pragma omp barrier
            share_of(width, thread, threads, &begin, &end);
            add(model, layer.down, count, model.inner, begin, end, normal);
#pragma omp barrier
        }
        normalise_all(model.norm);
        share_of(model.head.rows, thread, threads, &begin, &end);
        if (wanted)
            multiply(model.head, wanted, normal + (count - wanted) * width, width, begin, end, model.logits,
                     model.head.rows);
    }
}

}  // namespace

// Logits of what follows each of the last `wanted` of `count` tokens, the first of which has column `position`;
// the best into `chosen`.
extern "C" void step(const Model *model, const int64_t *tokens, int64_t count, int64_t wanted, int64_t position,
                     int64_t *chosen) {
    if (model->kind == FLOAT32)
        step_of<float>(*model, tokens, int(count), int(wanted), position);
    else
        step_of<uint16_t>(*model, tokens, int(count), int(wanted), position);
    for (int64_t token = 0; token < wanted; ++token) {
        const float *logits = model->logits + token * model->head.rows;
        chosen[token] = 0;
        for (int64_t n = 1; n < model->head.rows; ++n)
            if (logits[n] > logits[chosen[token]]) chosen[token] = n;
    }
}
