/* Whether stores that pass the cache by are worth having: Adam on one large tensor in two threads, both ways, in turns.

       cc -O3 -march=native -ffp-contract=off benchmarks/nontemporal.c -o build/nontemporal -lm -pthread && build/nontemporal

   Every array of a step that is written has been read just before, so that its lines are in the cache already and a
   store costs no read of its own; that is what such stores save elsewhere. Needs AVX-512. */
#define _POSIX_C_SOURCE 200809L
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ELEMENTS = 16000000, ROUNDS = 60, WAYS = 2 };

static float *x, *g, *m, *v;
static int passing;

static void store(float *to, __m512 value) {
    if (passing) _mm512_stream_ps(to, value);
    else _mm512_store_ps(to, value);
}

static void *half(void *argument) {
    const long middle = ELEMENTS / 2 & ~63L, lo = argument ? middle : 0, hi = argument ? ELEMENTS : middle;
    const __m512 beta1 = _mm512_set1_ps(0.9f), rest1 = _mm512_set1_ps(0.1f), beta2 = _mm512_set1_ps(0.999f);
    const __m512 rest2 = _mm512_set1_ps(0.001f), lr = _mm512_set1_ps(1e-3f), eps = _mm512_set1_ps(1e-8f);
    for (long i = lo; i < hi; i += 16) {
        const __m512 grad = _mm512_load_ps(g + i);
        const __m512 first = _mm512_add_ps(_mm512_mul_ps(beta1, _mm512_load_ps(m + i)), _mm512_mul_ps(rest1, grad));
        const __m512 square = _mm512_mul_ps(rest2, _mm512_mul_ps(grad, grad));
        const __m512 second = _mm512_add_ps(_mm512_mul_ps(beta2, _mm512_load_ps(v + i)), square);
        const __m512 step = _mm512_div_ps(_mm512_mul_ps(lr, first), _mm512_add_ps(_mm512_sqrt_ps(second), eps));
        store(m + i, first), store(v + i, second), store(x + i, _mm512_sub_ps(_mm512_load_ps(x + i), step));
    }
    _mm_sfence();
    return NULL;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int later(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(void) {
    float **const arrays[] = {&x, &g, &m, &v};
    for (int a = 0; a < 4; ++a) {
        *arrays[a] = aligned_alloc(64, ELEMENTS * sizeof(float));
        if (!*arrays[a]) return 1;
        for (long i = 0; i < ELEMENTS; ++i) (*arrays[a])[i] = 0.5f + (float)(i % 7);
    }
    static double times[WAYS][ROUNDS];
    for (int round = 0; round < ROUNDS; ++round) {
        for (passing = 0; passing < WAYS; ++passing) {
            pthread_t other;
            const double began = milliseconds();
            if (pthread_create(&other, NULL, half, &passing) != 0) return 1;
            half(NULL);
            pthread_join(other, NULL);
            times[passing][round] = milliseconds() - began;
        }
    }
    for (int way = 0; way < WAYS; ++way) {
        qsort(times[way], ROUNDS, sizeof(double), later);
        printf("%s stores: median %.2f ms, best %.2f ms\n", way ? "passing" : "plain", times[way][ROUNDS / 2], times[way][0]);
    }
    return 0;
}
