// Vectors of 4, 8 or 16 floats in the compiler's own notation, so that one source serves AVX2, AVX-512 and NEON.
#pragma once

#include <cstdint>

namespace SET {  // one per instruction set, or the linker would take one set's functions for another's

#define INLINE_LAMBDA __attribute__((always_inline))
#define INLINE inline __attribute__((always_inline))

template <int LANES>
struct Lanes;
template <>
struct Lanes<4> {
    typedef float F __attribute__((vector_size(16)));
    typedef float Memory __attribute__((vector_size(16), aligned(4), may_alias));
    typedef int32_t I __attribute__((vector_size(16)));
};
template <>
struct Lanes<8> {
    typedef float F __attribute__((vector_size(32)));
    typedef float Memory __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int32_t I __attribute__((vector_size(32)));
};
template <>
struct Lanes<16> {
    typedef float F __attribute__((vector_size(64)));
    typedef float Memory __attribute__((vector_size(64), aligned(4), may_alias));
    typedef int32_t I __attribute__((vector_size(64)));
};
template <int LANES>
using Vector = typename Lanes<LANES>::F;

#if defined(__AVX512F__)
constexpr int WIDEST = 16;
#elif defined(__AVX2__)
constexpr int WIDEST = 8;
#else
constexpr int WIDEST = 4;  // NEON
#endif

template <int LANES>
INLINE Vector<LANES> load(const float* p) {
    return *(const typename Lanes<LANES>::Memory*)p;
}
template <int LANES>
INLINE void store(float* p, Vector<LANES> v) {
    *(typename Lanes<LANES>::Memory*)p = v;
}
template <int LANES>
INLINE Vector<LANES> broadcast(float x) {
    return x - Vector<LANES>{};
}
// Where either is NaN these give `b`, as the processor's own instructions do. So NaN passes if it may be in `b`.
template <class V>
INLINE V largest(V a, V b) {
    return a > b ? a : b;
}
template <class V>
INLINE V smallest(V a, V b) {
    return a < b ? a : b;
}

// 2^x for x in [-126, 126]; relative error 8e-8 (a minimax fit on the fraction, the exponent by integer addition).
template <int LANES>
INLINE Vector<LANES> exp2(Vector<LANES> x) {
    using I = typename Lanes<LANES>::I;
    const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    Vector<LANES> shifted = x + round;
    Vector<LANES> f = x - (shifted - round);  // [-0.5, 0.5]
    Vector<LANES> p = f * 1.3276444403e-3f + 9.6755376972e-3f;
    p = p * f + 5.5507133152e-2f;
    p = p * f + 2.4022119793e-1f;
    p = p * f + 6.9314696707e-1f;
    p = p * f + 1.0f;
    return (Vector<LANES>)((I)p + ((I)shifted << 23));
}

// x * sigmoid(x)
template <int LANES>
INLINE Vector<LANES> silu(Vector<LANES> x) {
    const Vector<LANES> bound = broadcast<LANES>(126.0f);
    Vector<LANES> power = x * -1.4426950408889634f;  // log2(e)
    return x / (exp2<LANES>(largest(smallest(power, bound), -bound)) + 1.0f);
}

// x * (1 + erf(x / sqrt(2))) / 2, the error function as a minimax rational: absolute error 6e-9 before rounding.
template <int LANES>
INLINE Vector<LANES> gelu(Vector<LANES> x) {
    const Vector<LANES> bound = broadcast<LANES>(5.2f);  // where erf is 1 to float32
    Vector<LANES> c = largest(smallest(x, bound), -bound), u = c * c;
    Vector<LANES> p = u * 4.946226827e-8f + 1.281578121e-5f;
    p = p * u + 3.137232895e-4f;
    p = p * u + 9.217291014e-3f;
    p = p * u + 6.508911851e-2f;
    p = p * u + 7.978845221e-1f;
    Vector<LANES> q = u * 1.258868826e-6f + 7.049612684e-5f;
    q = q * u + 1.817202891e-3f;
    q = q * u + 2.792669256e-2f;
    q = q * u + 2.482434543e-1f;
    q = q * u + 1.0f;
    Vector<LANES> half = x * 0.5f;
    return half + half * (c * p / q);
}

}  // namespace SET
