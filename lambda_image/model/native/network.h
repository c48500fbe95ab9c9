// The sizes of the published network, and its folded weights in the order in which the packer writes them.
#pragma once

#include <cstddef>

namespace SET {

constexpr int BANDS = 5, SIDE = 32, PATCH = 8, PATCHES = 16, TOKENS = PATCHES + 1;
constexpr int WIDTH = 192, DEPTH = 12, HEADS = 8, HEAD = WIDTH / HEADS, HIDDEN = 768;
constexpr int GROUPS = 48, GROUP_IN = WIDTH / GROUPS, GROUP_OUT = HIDDEN / GROUPS;
constexpr int STEM = 32, MAPS = 192;           // the Inception branch's features: 12 channels of 4 x 4 pixels
constexpr int FEATURES = 1104, JOINED = 1056;  // 1,096 and 1,024, padded with zeros to whole panels
constexpr int PATCH_DEPTH = BANDS * PATCH * PATCH;

constexpr int PANEL = 48;  // columns of a panel of packed weights

struct Layer {
    const float *weight, *bias;
    const float *scale, *sums;  // of each column of 8-bit weights, which `weight` points at then; `sums` are int32
};
struct Block {
    Layer qkv, projection, up, down, local_up, local_down;
};
struct Inception {
    Layer narrow, three, five, pooled;  // 1x1 of all branches, then 3x3, 5x5, and the 1x1 behind the maximum
};
struct Weights {
    const float* position;  // [TOKENS][WIDTH], with the class token and the patches' bias added
    Layer patch;
    Block blocks[DEPTH];
    Layer stem;
    Inception inception[5];
    Layer transformer[2], maps[2], magnitudes[5], last;
    size_t size;  // in floats
};

constexpr int INCEPTION_IN[5] = {32, 64, 64, 32, 32}, INCEPTION_OUT[5] = {16, 16, 8, 8, 4};

// QUANTISED: the transformer's linear layers are 8-bit.
template <bool QUANTISED>
inline Weights weights_at(const float* base) {
    const float* next = base;
    auto take = [&](size_t count) {
        const float* here = next;
        next += (count + 15) / 16 * 16;  // whole cache lines
        return here;
    };
    auto layer = [&](size_t depth, size_t columns) {
        Layer made{};
        made.weight = take(depth * columns);
        made.bias = take(columns);
        return made;
    };
    auto perhaps_quantised = [&](size_t depth, size_t columns) {
        if (!QUANTISED) return layer(depth, columns);
        Layer made;
        made.weight = take(depth * columns / 4);
        made.bias = take(columns);
        made.scale = take(columns);
        made.sums = take(columns);
        return made;
    };
    Weights w;
    w.position = take(TOKENS * WIDTH);
    w.patch = layer(PATCH_DEPTH, WIDTH);
    for (Block& block : w.blocks) {
        block.local_up = layer(GROUP_IN, HIDDEN);
        block.local_down = layer(GROUP_OUT, WIDTH);
        block.qkv = perhaps_quantised(WIDTH, 3 * WIDTH);
        block.projection = perhaps_quantised(WIDTH, WIDTH);
        block.up = perhaps_quantised(WIDTH, HIDDEN);
        block.down = perhaps_quantised(HIDDEN, WIDTH);
    }
    w.stem = layer(BANDS, STEM);
    for (int i = 0; i < 5; i++) {
        const int in = INCEPTION_IN[i], out = INCEPTION_OUT[i], branches = i < 4 ? 3 : 2;  // the last has no 5x5
        w.inception[i].narrow = layer(in, branches * out);
        w.inception[i].three = layer(9 * out, out);
        if (branches == 3) w.inception[i].five = layer(25 * out, out);
        w.inception[i].pooled = layer(in, out);
    }
    w.transformer[0] = layer(WIDTH, FEATURES);
    w.transformer[1] = layer(FEATURES, JOINED);
    w.maps[0] = layer(MAPS, FEATURES);
    w.maps[1] = layer(FEATURES, JOINED);
    w.magnitudes[0] = layer(BANDS, JOINED);
    for (int i = 1; i < 5; i++) w.magnitudes[i] = layer(JOINED, JOINED);
    w.last = layer(JOINED, 1);
    w.size = next - base;
    return w;
}

}  // namespace SET
