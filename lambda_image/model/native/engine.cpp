// Redshifts from images and magnitudes on the processor, for one instruction set: compiled once per set, with its name.
//
// Threads share the weights and nothing else. Each takes MANY images, runs them through the branches FEW at a time (so
// that activations stay in its own cache), then through the layers behind them together (whose 29 MB of weights are
// read once for MANY rows). No step waits for another thread.

#include <pthread.h>
#include <stdlib.h>

#include "inception.h"
#include "transformer.h"

#define JOIN_(function, set) function##_##set
#define JOIN(function, set) JOIN_(function, set)

namespace SET {
namespace {

constexpr int MANY = 64;

struct Workspace {
    Activations activations;
    Maps maps;
    alignas(64) float features[MANY][WIDTH], map_features[MANY][MAPS], magnitudes[MANY][BANDS];
    alignas(64) float wide[2][MANY][FEATURES], joined[MANY][JOINED];
};

struct Job {
    const Weights* weights;
    const float *images, *magnitudes;
    float* redshifts;
    int count, share;  // images in all, and how many a thread takes at a time
    int next;          // shared: the first image that nobody has taken
};

void behind_the_branches(const Weights& w, Workspace& s, int rows, float* redshifts, int count) {
    float *one = s.wide[0][0], *two = s.wide[1][0], *joined = s.joined[0];
    linear<BANDS>(s.magnitudes[0], rows, w.magnitudes[0].weight, w.magnitudes[0].bias, JOINED, Relu{{one, JOINED}});
    for (int i = 1; i < 4; i++) {
        linear<JOINED>(one, rows, w.magnitudes[i].weight, w.magnitudes[i].bias, JOINED, Relu{{two, JOINED}});
        float* other = one;
        one = two, two = other;
    }
    linear<JOINED>(one, rows, w.magnitudes[4].weight, w.magnitudes[4].bias, JOINED, Store{joined, JOINED});
    linear<WIDTH>(s.features[0], rows, w.transformer[0].weight, w.transformer[0].bias, FEATURES, Relu{{one, FEATURES}});
    linear<FEATURES>(one, rows, w.transformer[1].weight, w.transformer[1].bias, JOINED, Add{joined, JOINED});
    linear<MAPS>(s.map_features[0], rows, w.maps[0].weight, w.maps[0].bias, FEATURES, Relu{{one, FEATURES}});
    linear<FEATURES>(one, rows, w.maps[1].weight, w.maps[1].bias, JOINED, Add{joined, JOINED});
    for (int i = 0; i < count; i++) {
        Vector<WIDEST> sum{};
        for (int c = 0; c < JOINED; c += WIDEST)
            sum += largest(Vector<WIDEST>{}, load<WIDEST>(joined + i * JOINED + c)) * load<WIDEST>(w.last.weight + c);
        redshifts[i] = w.last.bias[0];
        for (int lane = 0; lane < WIDEST; lane++) redshifts[i] += sum[lane];
    }
}

template <bool QUANTISED>
void* work(void* argument) {
    Job& job = *(Job*)argument;
    Workspace* space = (Workspace*)aligned_alloc(64, (sizeof(Workspace) + 63) / 64 * 64);
    if (!space) return (void*)1;
    for (;;) {
        const int first = __atomic_fetch_add(&job.next, job.share, __ATOMIC_RELAXED);
        if (first >= job.count) break;
        const int count = job.count - first < job.share ? job.count - first : job.share;
        const int rows = (count + FEW - 1) / FEW * FEW;
        auto image = [&](int i) {
            return job.images + (size_t)(first + (i < count ? i : count - 1)) * BANDS * SIDE * SIDE;
        };
        for (int i = 0; i < rows; i += FEW) {
            const float* few[FEW];
            for (int n = 0; n < FEW; n++) {
                few[n] = image(i + n);  // the last image again where there are no more
                inception(*job.weights, few[n], space->maps, space->map_features[i + n]);
                const int row = first + (i + n < count ? i + n : count - 1);
                memcpy(space->magnitudes[i + n], job.magnitudes + row * BANDS, BANDS * sizeof(float));
            }
            transformer<QUANTISED>(*job.weights, few, space->activations, space->features[i]);
        }
        behind_the_branches(*job.weights, *space, rows, job.redshifts + first, count);
    }
    free(space);
    return nullptr;
}

template <bool QUANTISED>
int predict(const float* packed, const float* images, const float* magnitudes, float* redshifts, int count,
            int threads) {
    const Weights weights = weights_at<QUANTISED>(packed);
    int share = (count + threads - 1) / threads;
    if (share > MANY) share = MANY;
    Job job{&weights, images, magnitudes, redshifts, count, (share + FEW - 1) / FEW * FEW, 0};
    enum { MOST = 64 };
    pthread_t others[MOST];
    int started = 0;
    for (; started < threads - 1 && started < MOST; started++)
        if (pthread_create(&others[started], nullptr, work<QUANTISED>, &job)) break;  // fewer threads take more each
    void* failed = work<QUANTISED>(&job);
    for (int i = 0; i < started; i++) {
        void* result;
        pthread_join(others[i], &result);
        failed = result ? result : failed;
    }
    return failed ? 1 : 0;
}

}  // namespace
}  // namespace SET

// For each precision: floats of packed weights, so that a loader can tell a file that holds something else; and
// `redshifts` [count] of `images` [count][5][32][32] and `magnitudes` [count][5]: 0, or 1 where there is no memory.
#define EXPORT(precision, quantised)                                                                                 \
    extern "C" size_t JOIN(size_##precision, SET)() { return SET::weights_at<quantised>(nullptr).size; }             \
    extern "C" int JOIN(predict_##precision, SET)(const float* packed, const float* images, const float* magnitudes, \
                                                  float* redshifts, int count, int threads) {                        \
        return SET::predict<quantised>(packed, images, magnitudes, redshifts, count, threads);                       \
    }

EXPORT(float32, false)
EXPORT(int8, true)
