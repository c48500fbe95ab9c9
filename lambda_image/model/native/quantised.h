// Products in 8-bit integers, for the transformer's linear layers: weights have a scale per column, activations one per
// row, taken from the row itself. Four products at a time are summed into each 32-bit lane.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include <cstring>

#include "product.h"

namespace SET {

// Activations are stored with ZERO added, within LEVELS of it. AVX2's instruction adds two products of 8 bits into 16,
// which only 7 bits on one side do not overflow.
#if defined(__AVX512VNNI__)
constexpr int ZERO = 128, LEVELS = 127;
INLINE Lanes<16>::I dot(Lanes<16>::I sum, Lanes<16>::I a, Lanes<16>::I w) {
    return (Lanes<16>::I)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)w);
}
#elif defined(__AVX2__)
constexpr int ZERO = 64, LEVELS = 63;
INLINE Lanes<8>::I dot(Lanes<8>::I sum, Lanes<8>::I a, Lanes<8>::I w) {
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)a, (__m256i)w);
    return sum + (Lanes<8>::I)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
constexpr int ZERO = 0, LEVELS = 127;
INLINE Lanes<4>::I dot(Lanes<4>::I sum, Lanes<4>::I a, Lanes<4>::I w) {
    return (Lanes<4>::I)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)w);
}
#endif

template <int ROWS_, int DEPTH_>
struct Quantised {
    alignas(64) uint8_t values[ROWS_][DEPTH_];
    float scales[ROWS_];
};

template <int DEPTH_>
inline void quantise(const float* in, uint8_t* out, float& scale) {
    typedef uint8_t Bytes __attribute__((vector_size(WIDEST)));
    // Magnitudes are compared as integers, which order them alike and put NaN above all numbers: it reaches the scale.
    using I = Lanes<WIDEST>::I;
    I most{};
    for (int i = 0; i < DEPTH_; i += WIDEST) most = largest(most, (I)load<WIDEST>(in + i) & 0x7fffffff);
    int32_t bits = 0;
    for (int lane = 0; lane < WIDEST; lane++) bits = most[lane] > bits ? most[lane] : bits;
    float largest_value;
    memcpy(&largest_value, &bits, sizeof bits);
    if (largest_value < 1e-30f) largest_value = 1e-30f;  // a row of zeros has a scale, too
    const float factor = LEVELS / largest_value,
                round = 12582912.0f + ZERO;  // leaves the nearest integer in the low bits
    scale = largest_value / LEVELS;
    for (int i = 0; i < DEPTH_; i += WIDEST) {
        const Vector<WIDEST> shifted = load<WIDEST>(in + i) * factor + round;
        const Bytes bytes = __builtin_convertvector((Lanes<WIDEST>::I)shifted, Bytes);
        memcpy(out + i, &bytes, WIDEST);
    }
}

// As `tile`, four steps of the depth at a time.
template <int ROWS_, int VECTORS, int DEPTH_, class Epilogue>
INLINE void quantised_tile(const uint8_t* a, const float* scales, Layer layer, int column, Epilogue&& finish) {
    using I = Lanes<WIDEST>::I;
    const int8_t* w = (const int8_t*)layer.weight + (column / PANEL * PANEL * DEPTH_ + column % PANEL * 4);
    I sum[ROWS_][VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        I sums;  // of a column's weights: what ZERO adds to the product
        memcpy(&sums, layer.sums + column + v * WIDEST, sizeof sums);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS_; r++) sum[r][v] = sums * -ZERO;
    }
    for (int k = 0; k < DEPTH_; k += 4, w += PANEL * 4) {
        I b[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) memcpy(&b[v], w + v * WIDEST * 4, sizeof b[v]);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS_; r++) {
            int32_t four;
            memcpy(&four, a + r * DEPTH_ + k, 4);
            const I x = four - I{};
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[r][v] = dot(sum[r][v], x, b[v]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS_; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            const int at = column + v * WIDEST;
            const Vector<WIDEST> scale = load<WIDEST>(layer.scale + at) * scales[r];
            finish(r, at, __builtin_convertvector(sum[r][v], Vector<WIDEST>) * scale + load<WIDEST>(layer.bias + at));
        }
}

// `rows`, a multiple of 8, of fresh activations [rows][DEPTH_] times the layer's columns; `space` holds them as bytes.
template <int DEPTH_, int ROWS_, class Epilogue>
inline void quantised_linear(const float* a, Quantised<ROWS_, HIDDEN>& space, Layer layer, int columns,
                             Epilogue epilogue) {
    constexpr int VECTORS = WIDEST == 8 ? 2 : 3, AT_ONCE = WIDEST == 8 ? 4 : 8;  // AVX2 has 16 registers, others 32
    uint8_t* values = space.values[0];
    for (int row = 0; row < ROWS_; row++) quantise<DEPTH_>(a + row * DEPTH_, values + row * DEPTH_, space.scales[row]);
    for (int column = 0; column < columns; column += VECTORS * WIDEST)
        for (int row = 0; row < ROWS_; row += AT_ONCE)
            quantised_tile<AT_ONCE, VECTORS, DEPTH_>(
                values + row * DEPTH_, space.scales + row, layer, column,
                [&](int r, int c, Vector<WIDEST> v) INLINE_LAMBDA { epilogue.template put<WIDEST>(row + r, c, v); });
}

}  // namespace SET
