// Matrix products of row-major activations with packed weights: the engine's time is spent in `tile`.
//
// Weights are packed in panels of WIDE columns, [columns / WIDE][depth][WIDE], so that a panel streams through the
// innermost loop and stays in the first-level cache while all rows pass by it. The activations are read as they lie: a
// row's depth is a list of runs (one run for a linear layer; one per tap for a convolution, which so needs no copy).
#pragma once

#include "network.h"
#include "vectors.h"

namespace SET {

constexpr int SPAN = 192;  // summed in one go: the published test weights are then 1.8e-5 off, and 4.2e-5 without

struct Runs {
    int count, length;
    const int* starts;  // of each run, in floats from the row's begin
};

// ROWS rows times VECTORS vectors of a panel's columns, held in registers over the whole depth.
// SPANS: each run is summed apart and then added, since the rounding of a long sum grows with its length.
template <int LANES, int ROWS, int VECTORS, int WIDE, int STRIDE, bool SPANS, class Epilogue>
INLINE void tile(const float* a, Runs runs, const float* w, const float* bias, Epilogue&& finish) {
    Vector<LANES> sum[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        Vector<LANES> b = load<LANES>(bias + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) sum[r][v] = b;
    }
    Vector<LANES> total[ROWS][VECTORS];  // in the first-level cache
    for (int run = 0; run < runs.count; run++) {
        if (SPANS && run > 0) {
#pragma GCC unroll 16
            for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; v++) {
                    total[r][v] = run == 1 ? sum[r][v] : total[r][v] + sum[r][v];
                    sum[r][v] = Vector<LANES>{};
                }
        }
        const float* row = a + runs.starts[run];
#pragma GCC unroll 2
        for (int k = 0; k < runs.length; k++, w += WIDE) {
            Vector<LANES> b[VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) b[v] = load<LANES>(w + v * LANES);
#pragma GCC unroll 16
            for (int r = 0; r < ROWS; r++) {
                Vector<LANES> x = broadcast<LANES>(row[r * STRIDE + k]);
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; v++) sum[r][v] += x * b[v];
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            finish(r, v * LANES, SPANS && runs.count > 1 ? sum[r][v] + total[r][v] : sum[r][v]);
}

// What becomes of a product: `out` is [rows][width].
struct Store {
    float* out;
    int width;
    template <int LANES>
    INLINE void put(int row, int column, Vector<LANES> v) const {
        store<LANES>(out + row * width + column, v);
    }
};
struct Relu : Store {
    template <int LANES>
    INLINE void put(int row, int column, Vector<LANES> v) const {
        Store::put<LANES>(row, column, largest(Vector<LANES>{}, v));
    }
};
struct Gelu : Store {
    template <int LANES>
    INLINE void put(int row, int column, Vector<LANES> v) const {
        Store::put<LANES>(row, column, gelu<LANES>(v));
    }
};
struct Add : Store {
    template <int LANES>
    INLINE void put(int row, int column, Vector<LANES> v) const {
        Store::put<LANES>(row, column, v + load<LANES>(out + row * width + column));
    }
};

// The tile that fills the registers: 24 sums of 16 floats where there are 32 registers, 12 where there are 16.
template <int WIDE>
struct Shape {
    static constexpr int LANES = WIDE % WIDEST == 0 ? WIDEST : WIDE % 8 == 0 && WIDEST > 8 ? 8 : 4;
    static constexpr int VECTORS = WIDE / LANES % 3 == 0 ? 3 : WIDE / LANES % 2 == 0 ? 2 : 1;
    static constexpr int REGISTERS = WIDEST == 8 ? 12 : 24;
    static constexpr int ROWS = REGISTERS / VECTORS >= 16 ? 16 : REGISTERS / VECTORS >= 8 ? 8 : 4;
};

// `rows` (a multiple of 4) rows of `a`, STRIDE floats apart, times `columns` columns of packed weights.
template <int WIDE, int STRIDE, bool SPANS = false, class Epilogue>
INLINE void product(const float* a, int rows, Runs runs, const float* w, const float* bias, int columns,
                    Epilogue epilogue) {
    using S = Shape<WIDE>;
    constexpr int LANES = S::LANES, VECTORS = S::VECTORS, WIDTH = LANES * VECTORS;
    const int depth = runs.count * runs.length;
    for (int column = 0; column < columns; column += WIDTH) {
        const float* panel = w + column / WIDE * depth * WIDE + column % WIDE;
        auto pass = [&]<int ROWS>(int row) INLINE_LAMBDA {
            tile<LANES, ROWS, VECTORS, WIDE, STRIDE, SPANS>(a + row * STRIDE, runs, panel, bias + column,
                                                            [&](int r, int c, Vector<LANES> v) INLINE_LAMBDA {
                                                                epilogue.template put<LANES>(row + r, column + c, v);
                                                            });
        };
        int row = 0;
        for (; row + S::ROWS <= rows; row += S::ROWS) pass.template operator()<S::ROWS>(row);
        for (; row < rows; row += 4) pass.template operator()<4>(row);
    }
}

// A linear layer: [rows][STRIDE] times [STRIDE][columns].
template <int STRIDE, class Epilogue>
INLINE void linear(const float* a, int rows, const float* w, const float* bias, int columns, Epilogue epilogue) {
    constexpr int COUNT = (STRIDE + SPAN - 1) / SPAN, LENGTH = STRIDE / COUNT;
    static_assert(COUNT * LENGTH == STRIDE);
    int starts[COUNT];
    for (int i = 0; i < COUNT; i++) starts[i] = i * LENGTH;
    product<PANEL, STRIDE, (COUNT > 1)>(a, rows, Runs{COUNT, LENGTH, starts}, w, bias, columns, epilogue);
}

}  // namespace SET
