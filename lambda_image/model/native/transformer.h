// The transformer branch over a few images at a time: all its activations stay in the second-level cache.
#pragma once

#include <cstring>

#include "network.h"
#include "product.h"
#include "quantised.h"

namespace SET {

constexpr int FEW = 8;  // images: 136 rows, whole tiles; 0.8 MB with the hidden layer's activations
constexpr int ROWS = FEW * TOKENS;

struct Activations {
    alignas(64) float tokens[ROWS][WIDTH];
    alignas(64) float normed[ROWS][WIDTH];
    alignas(64) float hidden[ROWS][HIDDEN];  // patches, then q k v, then the feed-forward layer
    Quantised<ROWS, HIDDEN> bytes;
};

// Subtracts the mean and divides by the standard deviation; the norm's weights are folded into the layer behind it.
inline void normalise(const float* in, float* out, float epsilon) {
    constexpr int V = WIDTH / WIDEST;
    Vector<WIDEST> sum{}, squares{};
    for (int v = 0; v < V; v++) sum += load<WIDEST>(in + v * WIDEST);
    float mean = 0, variance = 0;
    for (int i = 0; i < WIDEST; i++) mean += sum[i];
    mean /= WIDTH;
    for (int v = 0; v < V; v++) {
        Vector<WIDEST> d = load<WIDEST>(in + v * WIDEST) - mean;
        squares += d * d;
    }
    for (int i = 0; i < WIDEST; i++) variance += squares[i];
    variance += variance - variance;  // one that overflowed makes the answer NaN, as PyTorch's does, and not 0
    const float scale = 1 / __builtin_sqrtf(variance / WIDTH + epsilon);
    for (int v = 0; v < V; v++) store<WIDEST>(out + v * WIDEST, (load<WIDEST>(in + v * WIDEST) - mean) * scale);
}

// The eight floats at `a`, followed by those at `b` where a vector holds sixteen.
template <int LANES>
INLINE Vector<LANES> pair(const float* a, const float* b) {
    if constexpr (LANES == HEADS)
        return load<HEADS>(a);
    else
        return __builtin_shufflevector(load<HEADS>(a), load<HEADS>(b), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                       15);
}

// Attention of one image: `qkv` [TOKENS][3][HEAD][HEADS] to `out` [TOKENS][HEAD][HEADS]. Heads lie side by side, so
// that a vector holds all heads of one or two queries and no sum crosses lanes. q is scaled to make exp a power of 2.
inline void attend(const float* qkv, float* out) {
    constexpr int LANES = WIDEST < HEADS ? HEADS : WIDEST, TWO = LANES / HEADS;
    using V = Vector<LANES>;
    for (int i = 0; i < TOKENS; i += TWO) {
        const int second = i + TWO - 1 < TOKENS ? i + TWO - 1 : i;
        const float *q0 = qkv + i * 3 * WIDTH, *q1 = qkv + second * 3 * WIDTH;
        V score[TOKENS];
        for (int j = 0; j < TOKENS; j++) score[j] = V{};
#pragma GCC unroll 1
        for (int d = 0; d < HEAD; d++) {
            const V q = pair<LANES>(q0 + d * HEADS, q1 + d * HEADS);
            const float* k = qkv + WIDTH + d * HEADS;
#pragma GCC unroll 17
            for (int j = 0; j < TOKENS; j++) score[j] += q * pair<LANES>(k + j * 3 * WIDTH, k + j * 3 * WIDTH);
        }
        V top = score[0], total{};
        for (int j = 1; j < TOKENS; j++) top = largest(top, score[j]);
        for (int j = 0; j < TOKENS; j++) {
            score[j] = exp2<LANES>(largest(broadcast<LANES>(-126.0f), score[j] - top));
            total += score[j];
        }
        V mixed[HEAD];
        for (int d = 0; d < HEAD; d++) mixed[d] = V{};
#pragma GCC unroll 1
        for (int j = 0; j < TOKENS; j++) {
            const float* v = qkv + (j * 3 + 2) * WIDTH;
            const V share = score[j];
#pragma GCC unroll 24
            for (int d = 0; d < HEAD; d++) mixed[d] += share * pair<LANES>(v + d * HEADS, v + d * HEADS);
        }
        const V scale = 1.0f / total;
        for (int d = 0; d < HEAD; d++) {
            const V m = mixed[d] * scale;
            memcpy(out + i * WIDTH + d * HEADS, &m, HEADS * sizeof(float));
            if (TWO == 2)
                memcpy(out + second * WIDTH + d * HEADS, (const float*)&m + LANES - HEADS, HEADS * sizeof(float));
        }
    }
}

// The parallel convolution module adds to the patches (not to the class token). Features are ordered so that the groups
// lie side by side: a vector holds one feature of many groups, and grouped convolutions are products lane by lane.
inline void add_local(const Block& block, float* tokens) {
    constexpr int AT_ONCE = WIDEST == 8 ? 1 : 2;
    using V = Vector<WIDEST>;
    for (int group = 0; group < GROUPS; group += WIDEST) {
        for (int token = 1; token < TOKENS; token += AT_ONCE) {
            V x[AT_ONCE][GROUP_IN], y[AT_ONCE][GROUP_IN];
            for (int t = 0; t < AT_ONCE; t++)
                for (int c = 0; c < GROUP_IN; c++) {
                    x[t][c] = load<WIDEST>(tokens + (token + t) * WIDTH + c * GROUPS + group);
                    y[t][c] = x[t][c] + load<WIDEST>(block.local_down.bias + c * GROUPS + group);
                }
#pragma GCC unroll 1
            for (int hidden = 0; hidden < GROUP_OUT; hidden++) {
                V up[GROUP_IN], down[GROUP_IN], bias = load<WIDEST>(block.local_up.bias + hidden * GROUPS + group);
                for (int c = 0; c < GROUP_IN; c++) {
                    up[c] = load<WIDEST>(block.local_up.weight + (hidden * GROUP_IN + c) * GROUPS + group);
                    down[c] = load<WIDEST>(block.local_down.weight + (hidden * GROUP_IN + c) * GROUPS + group);
                }
                for (int t = 0; t < AT_ONCE; t++) {
                    V h = bias;
                    for (int c = 0; c < GROUP_IN; c++) h += x[t][c] * up[c];
                    h = silu<WIDEST>(h);
                    for (int c = 0; c < GROUP_IN; c++) y[t][c] += h * down[c];
                }
            }
            for (int t = 0; t < AT_ONCE; t++)
                for (int c = 0; c < GROUP_IN; c++)
                    store<WIDEST>(tokens + (token + t) * WIDTH + c * GROUPS + group, y[t][c]);
        }
    }
}

// The patches of one image as rows [PATCHES][BANDS][PATCH][PATCH].
inline void cut_patches(const float* image, float* rows) {
    for (int patch = 0; patch < PATCHES; patch++)
        for (int line = 0; line < BANDS * PATCH; line++, rows += PATCH) {
            const int band = line / PATCH, y = patch / 4 * PATCH + line % PATCH;
            memcpy(rows, image + (band * SIDE + y) * SIDE + patch % 4 * PATCH, PATCH * sizeof(float));
        }
}

template <bool QUANTISED, int DEPTH_, class Epilogue>
INLINE void dense(const float* a, Activations& space, Layer layer, int columns, Epilogue epilogue) {
    if constexpr (QUANTISED)
        quantised_linear<DEPTH_>(a, space.bytes, layer, columns, epilogue);
    else
        linear<DEPTH_>(a, ROWS, layer.weight, layer.bias, columns, epilogue);
}

// Features [FEW][WIDTH] of FEW images [BANDS][SIDE][SIDE].
template <bool QUANTISED>
inline void transformer(const Weights& w, const float* const* images, Activations& a, float* features) {
    float *tokens = a.tokens[0], *normed = a.normed[0], *hidden = a.hidden[0];
    for (int i = 0; i < FEW; i++) {
        float* own = a.tokens[i * TOKENS];
        memcpy(own, w.position, TOKENS * WIDTH * sizeof(float));
        cut_patches(images[i], hidden);
        linear<PATCH_DEPTH>(hidden, PATCHES, w.patch.weight, w.patch.bias, WIDTH, Add{own + WIDTH, WIDTH});
    }
    for (const Block& block : w.blocks) {
        for (int row = 0; row < ROWS; row++) normalise(a.tokens[row], a.normed[row], 1e-5f);
        dense<QUANTISED, WIDTH>(normed, a, block.qkv, 3 * WIDTH, Store{hidden, 3 * WIDTH});
        for (int i = 0; i < FEW; i++) {
            add_local(block, a.tokens[i * TOKENS]);
            attend(hidden + i * TOKENS * 3 * WIDTH, a.normed[i * TOKENS]);
        }
        dense<QUANTISED, WIDTH>(normed, a, block.projection, WIDTH, Add{tokens, WIDTH});
        for (int row = 0; row < ROWS; row++) normalise(a.tokens[row], a.normed[row], 1e-5f);
        dense<QUANTISED, WIDTH>(normed, a, block.up, HIDDEN, Gelu{{hidden, HIDDEN}});
        dense<QUANTISED, HIDDEN>(hidden, a, block.down, WIDTH, Add{tokens, WIDTH});
    }
    for (int i = 0; i < FEW; i++) {
        float mean[WIDTH] = {};
        for (int token = 1; token < TOKENS; token++)
            for (int d = 0; d < WIDTH; d++) mean[d] += a.tokens[i * TOKENS + token][d] / PATCHES;
        normalise(mean, features + i * WIDTH, 1e-6f);
    }
}

}  // namespace SET
