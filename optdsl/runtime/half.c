#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- one by one ---- */

/* Numbers of 16 bits, float16 and bfloat16: widened exactly, and rounded to the nearest, of two to the even one. They are
   computed with as whole numbers, which gives the same bits everywhere, NaN included, and many at once with any compiler.
   A generated library has the first part where a rule declares states of them; for parameters it borrows the second. */
static inline float float_of(uint32_t bits) { float a; memcpy(&a, &bits, sizeof a); return a; }
static inline uint32_t bits_of(float a) { uint32_t bits; memcpy(&bits, &a, sizeof bits); return bits; }
static inline float wide_bf16(uint16_t a) { return float_of((uint32_t)a << 16); }
static inline float wide_f16(uint16_t a) {
    const int32_t size = a & 0x7fff, normal = (size << 13) + 0x38000000;
    const int32_t small = (int32_t)bits_of((float)size * 0x1p-24f);
    const int32_t bits = size < 0x400 ? small : size < 0x7c00 ? normal : normal + 0x38000000;
    return float_of((uint32_t)bits | (uint32_t)(a & 0x8000) << 16);
}
static inline uint16_t near_bf16(float a) {
    const uint32_t bits = bits_of(a), near = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const int32_t size = (int32_t)(bits & 0x7fffffff);
    return (uint16_t)(size > 0x7f800000 ? (bits >> 16 & 0x8000) | 0x7fc0 : near);
}
static inline uint16_t near_f16(float a) {
    const int32_t size = (int32_t)(bits_of(a) & 0x7fffffff), sign = (int32_t)(bits_of(a) >> 16 & 0x8000);
    const int32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    const int32_t small = (int32_t)bits_of(float_of((uint32_t)size) + 0.5f) - 0x3f000000; /* in units of 2^-24 */
    const int32_t nan = 0x7c00 | (size >> 13 & 0x3ff);
    const int32_t large = size > 0x7f800000 ? nan + (nan == 0x7c00) : 0x7c00;
    return (uint16_t)((size < 0x38800000 ? small : size < 0x47800000 ? normal : large) | sign);
}
/* A double as a float rounded to odd, which keeps on which side of any number of 16 bits it lies. */
static inline float odd_of(double a) {
    const float near = (float)a;
    const uint32_t bits = bits_of(near) - (fabs((double)near) > fabs(a));
    return float_of(bits | ((double)near < a || (double)near > a));
}

/* ---- many at once ---- */

enum { PLAIN, F16, BF16 }; /* forms, as in optdsl/targets/skeleton.c */

void optdsl_widen(float *restrict to, const uint16_t *restrict from, int64_t n, int64_t form) {
    if (form == F16) for (int64_t i = 0; i < n; ++i) to[i] = wide_f16(from[i]);
    else for (int64_t i = 0; i < n; ++i) to[i] = wide_bf16(from[i]);
}
void optdsl_narrow(uint16_t *restrict to, const float *restrict from, int64_t n, int64_t form) {
    if (form == F16) for (int64_t i = 0; i < n; ++i) to[i] = near_f16(from[i]);
    else for (int64_t i = 0; i < n; ++i) to[i] = near_bf16(from[i]);
}
/* Have a master copy follow the elements of its parameter that aren't its rounding: the caller has changed them. */
static void follow(float *restrict master, const uint16_t *restrict x, int64_t n, int64_t form) {
    if (form == F16) for (int64_t i = 0; i < n; ++i) {
        const uint32_t own = bits_of(master[i]), other = bits_of(wide_f16(x[i]));
        master[i] = float_of(near_f16(master[i]) == x[i] ? own : other);
    } else for (int64_t i = 0; i < n; ++i) {
        const uint32_t own = bits_of(master[i]), other = bits_of(wide_bf16(x[i]));
        master[i] = float_of(near_bf16(master[i]) == x[i] ? own : other);
    }
}
/* Count the elements that a step moves from what is stored, and those of them that are stored as before. Threads add to
   the same counts. */
static void count_lost(const float *after, const uint16_t *stored, int64_t n, int64_t form, int64_t *counts) {
    int64_t moved = 0, lost = 0;
    for (int64_t i = 0; i < n; ++i) {
        const float before = form == F16 ? wide_f16(stored[i]) : wide_bf16(stored[i]);
        const int moves = after[i] < before || after[i] > before; /* a NaN goes nowhere */
        moved += moves;
        lost += moves && (form == F16 ? near_f16(after[i]) : near_bf16(after[i])) == stored[i];
    }
    __atomic_fetch_add(counts, moved, __ATOMIC_RELAXED);
    __atomic_fetch_add(counts + 1, lost, __ATOMIC_RELAXED);
}

const struct {
    void (*widen)(float *to, const uint16_t *from, int64_t n, int64_t form);
    void (*narrow)(uint16_t *to, const float *from, int64_t n, int64_t form);
    void (*follow)(float *master, const uint16_t *x, int64_t n, int64_t form);
    void (*count_lost)(const float *after, const uint16_t *stored, int64_t n, int64_t form, int64_t *counts);
} optdsl_conversions = {optdsl_widen, optdsl_narrow, follow, count_lost};
