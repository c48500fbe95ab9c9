// The Inception branch over one image, channels last: its activations stay in the first- and second-level caches.
#pragma once

#include <cstring>

#include "network.h"
#include "product.h"

namespace SET {

struct Maps {
    alignas(64) float in[256 * 64], out[256 * 64], pooled[256 * 64];
    alignas(64) float framed[20 * 20 * 48];  // the 1x1 convolutions' answers in a frame of zeros two pixels wide
};

// Where the answers of the merged 1x1 convolutions go: those of branch 1 are done, the others' are convolved again.
template <int SIDE_, int OUT, int BRANCHES>
struct Spread {
    float *done, *framed;
    template <int LANES>
    INLINE void put(int pixel, int column, Vector<LANES> v) const {
        constexpr int FRAMED = OUT * BRANCHES, ALL = OUT * (BRANCHES + 1);
        const Vector<LANES> answer = largest(Vector<LANES>{}, v);
        const int y = pixel / SIDE_ + 2, x = pixel % SIDE_ + 2;
        store<LANES>(framed + (y * (SIDE_ + 4) + x) * FRAMED + column, answer);
        if (column + LANES <= OUT) return store<LANES>(done + pixel * ALL + column, answer);
        for (int i = 0; column + i < OUT; i++) done[pixel * ALL + column + i] = answer[i];
    }
};

// KERNEL x KERNEL convolution of the framed channels from FIRST.
template <int SIDE_, int OUT, int BRANCHES, int KERNEL>
inline void convolve(const float* framed, Layer layer, float* out) {
    constexpr int FRAMED = OUT * BRANCHES, ALL = OUT * (BRANCHES + 1), LINE = (SIDE_ + 4) * FRAMED;
    int starts[KERNEL * KERNEL];
    for (int tap = 0; tap < KERNEL * KERNEL; tap++)
        starts[tap] = (tap / KERNEL + 2 - KERNEL / 2) * LINE + (tap % KERNEL + 2 - KERNEL / 2) * FRAMED;
    for (int y = 0; y < SIDE_; y++)
        product<OUT, FRAMED>(framed + y * LINE, SIDE_, Runs{KERNEL * KERNEL, OUT, starts}, layer.weight, layer.bias,
                             OUT, Relu{{out + y * SIDE_ * ALL, ALL}});
}

// The largest of each pixel's 3 x 3 neighbourhood.
template <int SIDE_, int IN>
inline void spread_maximum(const float* in, float* lines, float* out) {
    constexpr int LANES = IN % WIDEST == 0 ? WIDEST : 8, LINE = SIDE_ * IN;
    for (int y = 0; y < SIDE_; y++) {
        const int above = (y > 0 ? y - 1 : y) * LINE, below = (y < SIDE_ - 1 ? y + 1 : y) * LINE;
        for (int c = 0; c < LINE; c += LANES)
            store<LANES>(lines + c, largest(load<LANES>(in + y * LINE + c),
                                            largest(load<LANES>(in + above + c), load<LANES>(in + below + c))));
        for (int x = 0; x < SIDE_; x++) {
            const int left = (x > 0 ? x - 1 : x) * IN, right = (x < SIDE_ - 1 ? x + 1 : x) * IN;
            for (int c = 0; c < IN; c += LANES)
                store<LANES>(out + y * LINE + x * IN + c,
                             largest(load<LANES>(lines + x * IN + c),
                                     largest(load<LANES>(lines + left + c), load<LANES>(lines + right + c))));
        }
    }
}

// One block: [SIDE_][SIDE_][IN] to [SIDE_][SIDE_][OUT * (BRANCHES + 1)].
template <int SIDE_, int IN, int OUT, int BRANCHES>
inline void inception_block(const Inception& w, const float* in, float* out, Maps& m) {
    constexpr int PIXELS = SIDE_ * SIDE_, FRAMED = OUT * BRANCHES, ALL = OUT * (BRANCHES + 1);
    const int start = 0;
    const Runs whole{1, IN, &start};
    memset(m.framed, 0, (SIDE_ + 4) * (SIDE_ + 4) * FRAMED * sizeof(float));
    product<FRAMED, IN>(in, PIXELS, whole, w.narrow.weight, w.narrow.bias, FRAMED,
                        Spread<SIDE_, OUT, BRANCHES>{out, m.framed});
    convolve<SIDE_, OUT, BRANCHES, 3>(m.framed + OUT, w.three, out + OUT);
    if constexpr (BRANCHES == 3) convolve<SIDE_, OUT, BRANCHES, 5>(m.framed + 2 * OUT, w.five, out + 2 * OUT);
    float lines[SIDE_ * IN];
    spread_maximum<SIDE_, IN>(in, lines, m.pooled);
    product<OUT, IN>(m.pooled, PIXELS, whole, w.pooled.weight, w.pooled.bias, OUT, Relu{{out + BRANCHES * OUT, ALL}});
}

template <int SIDE_, int CHANNELS>
inline void halve(const float* in, float* out) {  // averages of 2 x 2 pixels
    for (int pixel = 0; pixel < SIDE_ * SIDE_ / 4; pixel++) {
        const float* corner = in + (pixel / (SIDE_ / 2) * 2 * SIDE_ + pixel % (SIDE_ / 2) * 2) * CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            out[pixel * CHANNELS + c] =
                (corner[c] + corner[CHANNELS + c] + corner[SIDE_ * CHANNELS + c] + corner[(SIDE_ + 1) * CHANNELS + c]) /
                4;
    }
}

// Features [MAPS] of one image [BANDS][SIDE][SIDE].
inline void inception(const Weights& w, const float* image, Maps& m, float* features) {
    float halved[256 * BANDS];
    for (int pixel = 0; pixel < 256; pixel++)  // bands last; the 1x1 convolution before the average commutes with it
        for (int band = 0; band < BANDS; band++) {
            const float* corner = image + (band * SIDE + pixel / 16 * 2) * SIDE + pixel % 16 * 2;
            halved[pixel * BANDS + band] = (corner[0] + corner[1] + corner[SIDE] + corner[SIDE + 1]) / 4;
        }
    const int start = 0;
    product<STEM, BANDS>(halved, 256, Runs{1, BANDS, &start}, w.stem.weight, w.stem.bias, STEM, Store{m.in, STEM});
    inception_block<16, 32, 16, 3>(w.inception[0], m.in, m.out, m);
    inception_block<16, 64, 16, 3>(w.inception[1], m.out, m.in, m);
    halve<16, 64>(m.in, m.out);
    inception_block<8, 64, 8, 3>(w.inception[2], m.out, m.in, m);
    inception_block<8, 32, 8, 3>(w.inception[3], m.in, m.out, m);
    halve<8, 32>(m.out, m.in);
    inception_block<4, 32, 4, 2>(w.inception[4], m.in, m.out, m);
    memcpy(features, m.out, MAPS * sizeof(float));
}

}  // namespace SET
