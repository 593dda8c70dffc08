// A decode step of one sequence on a CPU: everything between a token and the next one, in one call.
//
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
constexpr int GROUP = 64;  // weights of an int4 group, as in modules/int4.py

typedef float Floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t Words __attribute__((vector_size(64), aligned(4), may_alias));
typedef int8_t Bytes __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t Levels __attribute__((vector_size(16), aligned(1), may_alias));


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
inline Floats level(__m128i levels) { return (Floats)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(levels)); }
inline void levels(const uint8_t *from, Floats *low, Floats *high) {
    __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from)), mask = _mm_set1_epi8(0xF);
    *low = level(_mm_and_si128(both, mask));
    *high = level(_mm_and_si128(_mm_srli_epi16(both, 4), mask));
}
#else
inline Floats wide(const uint16_t *from) {
    Words words = __builtin_convertvector(*reinterpret_cast<const Halves *>(from), Words) << 16;
    return reinterpret_cast<Floats &>(words);
}
inline Floats wide(const int8_t *from) {
    return __builtin_convertvector(*reinterpret_cast<const Bytes *>(from), Floats);
}
inline void levels(const uint8_t *from, Floats *low, Floats *high) {
    Levels both = *reinterpret_cast<const Levels *>(from);
    *low = __builtin_convertvector(both & 0xF, Floats);
    *high = __builtin_convertvector(both >> 4, Floats);
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
    float *x, *qkv, *mixed, *inner, *logits, *scores;
    Matrix head;
    int32_t kind, count, width, inner_width, heads, kv_heads, dim, capacity, threads, unused;
    float epsilon, scale;
};

}

namespace {

// ROWS rows of a matrix times x. A function of its own for each kind: nothing is decided inside the loop.
template <class Stored>
inline void products(const Stored *weight, int width, const float *x, float *y) {
    // The rows that come next are asked for already: left to itself a core has too few reads under way.
    const Stored *next = weight + int64_t(ROWS) * width;
    Floats near[ROWS] = {}, far[ROWS] = {};
    int k = 0;
    for (; k + 2 * LANES <= width; k += 2 * LANES) {
        Floats a = wide(x + k), b = wide(x + k + LANES);
        for (int row = 0; row < ROWS; ++row) {
            const Stored *here = weight + int64_t(row) * width + k, *there = next + int64_t(row) * width + k;
            __builtin_prefetch(there);
            if (sizeof(Stored) == sizeof(float)) __builtin_prefetch(there + LANES);
            near[row] += wide(here) * a;
            far[row] += wide(here + LANES) * b;
        }
    }
    for (int row = 0; row < ROWS; ++row) {
        y[row] = sum(near[row] + far[row]);
        for (int rest = k; rest < width; ++rest) y[row] += one(weight + int64_t(row) * width + rest) * x[rest];
    }
}

template <class Stored>
inline float product(const Stored *weight, int width, const float *x) {
    Floats total = {};
    int k = 0;
    for (; k + LANES <= width; k += LANES) total += wide(weight + k) * wide(x + k);
    float y = sum(total);
    for (; k < width; ++k) y += one(weight + k) * x[k];
    return y;
}

// A row of 4-bit levels: a byte holds columns k and k + width / 2. The offset of a group multiplies the sum
// of its x, which is the same for every row.
inline float product4(const uint8_t *weight, const float *scale, const float *offset, int width, const float *x,
                      const float *sums) {
    int half = width / 2, groups = width / GROUP;
    float y = 0;
    for (int group = 0; group < groups / 2; ++group) {
        Floats low = {}, high = {};
        for (int k = group * GROUP; k < (group + 1) * GROUP; k += LANES) {
            Floats near, far;
            levels(weight + k, &near, &far);
            low += near * wide(x + k);
            high += far * wide(x + half + k);
        }
        int other = group + groups / 2;
        y += sum(low * scale[group] + high * scale[other]);
        y += offset[group] * sums[group] + offset[other] * sums[other];
    }
    return y;
}

template <class Stored>
void rows_of(const Matrix &matrix, const float *x, int begin, int end, float *y) {
    const Stored *weight = static_cast<const Stored *>(matrix.weight);
    int row = begin;
    for (; row + ROWS <= end; row += ROWS) products(weight + int64_t(row) * matrix.width, matrix.width, x, y + row);
    for (; row < end; ++row) y[row] = product(weight + int64_t(row) * matrix.width, matrix.width, x);
}

void rows_of_levels(const Matrix &matrix, const float *x, int begin, int end, float *y) {
    const uint8_t *weight = static_cast<const uint8_t *>(matrix.weight);
    int groups = matrix.width / GROUP;
    float sums[groups];
    for (int group = 0; group < groups; ++group) {
        sums[group] = 0;
        for (int k = 0; k < GROUP; ++k) sums[group] += x[group * GROUP + k];
    }
    for (int row = begin; row < end; ++row)
        y[row] = product4(weight + int64_t(row) * (matrix.width / 2), matrix.scale + int64_t(row) * groups,
                          matrix.offset + int64_t(row) * groups, matrix.width, x, sums);
}

// y[begin..end) = W x, with the factor of each row and the bias.
void multiply(const Matrix &matrix, const float *x, int begin, int end, float *y) {
    switch (matrix.kind) {
        case FLOAT32: rows_of<float>(matrix, x, begin, end, y); break;
        case BFLOAT16: rows_of<uint16_t>(matrix, x, begin, end, y); break;
        case INT8:
            rows_of<int8_t>(matrix, x, begin, end, y);
            for (int row = begin; row < end; ++row) y[row] *= matrix.scale[row];
            break;
        default: rows_of_levels(matrix, x, begin, end, y);
    }
    if (matrix.bias)
        for (int row = begin; row < end; ++row) y[row] += matrix.bias[row];
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

template <class Stored>
void attend(const Model &model, const Layer &layer, int64_t position, int thread, int threads) {
    int dim = model.dim, shared = model.heads / model.kv_heads;
    float query[dim], key[dim];
    for (int head = thread; head < model.heads; head += threads) {
        int kv = head / shared;
        int64_t begin = int64_t(kv) * model.capacity * dim;
        Stored *keys = static_cast<Stored *>(layer.keys) + begin;
        Stored *values = static_cast<Stored *>(layer.values) + begin;
        const float *value = model.qkv + (model.heads + model.kv_heads + kv) * dim;
        std::memcpy(query, model.qkv + head * dim, dim * sizeof(float));
        std::memcpy(key, model.qkv + (model.heads + kv) * dim, dim * sizeof(float));
        turn(query, layer.q_norm, model, position);
        turn(key, layer.k_norm, model, position);
        if (head % shared == 0)  // who shares the key with others writes it; they use their own copy of it
            for (int d = 0; d < dim; ++d) {
                put(keys + position * dim + d, key[d]);
                put(values + position * dim + d, value[d]);
            }
        float *scores = model.scores + int64_t(head) * model.capacity;
        float peak = scores[position] = product(key, dim, query) * model.scale;
        for (int64_t column = 0; column < position; ++column) {
            scores[column] = product(keys + column * dim, dim, query) * model.scale;
            peak = scores[column] > peak ? scores[column] : peak;
        }
        float total = 0;
        for (int64_t column = 0; column <= position; ++column) {
            scores[column] = std::exp(scores[column] - peak);
            total += scores[column];
        }
        float *mixed = model.mixed + head * dim;
        for (int d = 0; d < dim; ++d) mixed[d] = scores[position] * value[d];
        for (int64_t column = 0; column < position; ++column) {
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

template <class Stored>
void step_of(const Model &model, int64_t token, int64_t position) {
    const Stored *row = static_cast<const Stored *>(model.embedding) + token * model.width;
    for (int k = 0; k < model.width; ++k) model.x[k] = one(row + k);
#pragma omp parallel num_threads(model.threads)
    {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads(), begin, end;
        float normal[model.width], up[model.inner_width];
        for (int number = 0; number < model.count; ++number) {
            const Layer &layer = model.layers[number];
            normalise(model.x, layer.norm, model.width, model.epsilon, normal);
            share_of(layer.qkv.rows, thread, threads, &begin, &end);
            multiply(layer.qkv, normal, begin, end, model.qkv);
#pragma omp barrier
            attend<Stored>(model, layer, position, thread, threads);
#pragma omp barrier
            share_of(model.width, thread, threads, &begin, &end);
            multiply(layer.out, model.mixed, begin, end, normal);
            for (int k = begin; k < end; ++k) model.x[k] += normal[k];
#pragma omp barrier
            normalise(model.x, layer.inner_norm, model.width, model.epsilon, normal);
            share_of(model.inner_width, thread, threads, &begin, &end);
            Matrix gate = layer.gate_up, high = layer.gate_up;
            multiply(gate, normal, begin, end, model.inner);
            int64_t rows = model.inner_width, bytes = high.kind == FLOAT32 ? 4 : high.kind == BFLOAT16 ? 2 : 1;
            int64_t groups = high.kind == INT4 ? high.width / GROUP : 1;
            int64_t length = high.kind == INT4 ? high.width / 2 : high.width;
            high.weight = static_cast<const char *>(high.weight) + rows * length * bytes;
            if (high.scale) high.scale += rows * groups;
            if (high.offset) high.offset += rows * groups;
            if (high.bias) high.bias += rows;
            multiply(high, normal, begin, end, up);
            for (int k = begin; k < end; ++k) model.inner[k] *= up[k] / (1 + std::exp(-model.inner[k]));
#pragma omp barrier
            share_of(model.width, thread, threads, &begin, &end);
            multiply(layer.down, model.inner, begin, end, normal);
            for (int k = begin; k < end; ++k) model.x[k] += normal[k];
#pragma omp barrier
        }
        normalise(model.x, model.norm, model.width, model.epsilon, normal);
        share_of(model.head.rows, thread, threads, &begin, &end);
        multiply(model.head, normal, begin, end, model.logits);
    }
}

}  // namespace

extern "C" int64_t step(const Model *model, int64_t token, int64_t position) {
    if (model->kind == FLOAT32)
        step_of<float>(*model, token, position);
    else
        step_of<uint16_t>(*model, token, position);
    int64_t best = 0;
    for (int64_t n = 1; n < model->head.rows; ++n)
        if (model->logits[n] > model->logits[best]) best = n;
    return best;
}
