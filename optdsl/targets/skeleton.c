#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A function that is big enough to be called: compiled into each of its callers it takes their time at the compiler. */
#if defined __GNUC__
#define ALONE __attribute__((noinline))
#else
#define ALONE
#endif

/* A row of the table is one parameter: these columns, then the addresses of its states. STEPS counts the steps done
   before this one. At HYPERS lie the hyperparameters, then what elements of the gradient are clipped to, then their
   factor. LINE is the number of elements that share an index of the first axis, at least 1; at LINE_VALUES lies what is
   reduced over each such line, where a thread doesn't keep it itself: see own_lines. STORED and GIVEN say in which form
   the parameter and the gradient are. A parameter of 16 bits may have a float copy at MASTER, which is stepped in its
   place, or at LOST two counts of elements: of those that moved, and of those among them that rounding put back. */
enum { COUNT, STEPS, VARIANT, HYPERS, SCALARS, PARAMETER, GRADIENT, NDIM, LINE, LINE_VALUES, STORED, GIVEN, MASTER, LOST,
       STATES };
enum { PLAIN, F16, BF16 }; /* forms: as the arithmetic has it, or float16 or bfloat16 where that is float */
enum {
    BLOCK = 65536,     /* elements whose reductions are added up together, whatever the number of threads */
    PIECE = 4096,      /* elements after which the states follow that only follow the parameter */
    WORTH = 262144,    /* elements for which a thread is worth starting */
    MOST_THREADS = 64,
    RUN = 256,         /* elements whose gradient is clipped, or computed before their reductions are added up */
    LANES = 16
};

static inline double sign_f64(double a) {
    const double unit = a == 0.0 ? 0.0 : copysign(1.0, a);
    return a != a ? a : unit;
}
static inline double lesser_f64(double a, double b) { const double least = a < b ? a : b; return a != a ? a : least; }
static inline double greater_f64(double a, double b) { const double most = a > b ? a : b; return a != a ? a : most; }
static inline double modulo_f64(double a, double b) {
    const double left = fmod(a, b);
    return left == 0.0 ? copysign(0.0, b) : (left < 0.0) != (b < 0.0) ? left + b : left;
}
static inline float sign_f32(float a) {
    const float unit = a == 0.0f ? 0.0f : copysignf(1.0f, a);
    return a != a ? a : unit;
}
static inline float lesser_f32(float a, float b) { const float least = a < b ? a : b; return a != a ? a : least; }
static inline float greater_f32(float a, float b) { const float most = a > b ? a : b; return a != a ? a : most; }

/* Cube roots of elements, within a unit in the last place: a guess at 1/cbrt(a) from the bits of a, Newton's iteration on
   it, which needs no division, and a step of Newton's on the root, whose cube is halved so that it doesn't overflow. Small
   numbers are scaled first, so that none is subnormal. */
static inline float cube_root_f32(float x) {
    const float size = fabsf(x), third = 1.0f / 3.0f;
    const int small = size < 0x1p-100f;
    const float a = size * (small ? 0x1p60f : 1.0f), part = a * third;
    int32_t bits;
    float guess;
    memcpy(&bits, &a, sizeof bits);
    bits = 0x54a23280 - (int32_t)((float)bits * third);
    memcpy(&guess, &bits, sizeof guess);
    for (int k = 0; k < 2; ++k) guess = guess * (4.0f / 3.0f - part * guess * (guess * guess));
    const float square = guess * guess, t = a * square, half = t * t * (0.5f * t) - 0.5f * a;
    const float root = (t - half * (square * (2.0f * third))) * (small ? 0x1p-20f : 1.0f);
    return size > 0.0f && size < INFINITY ? copysignf(root, x) : x;
}
static inline double cube_root_f64(double x) {
    const double size = fabs(x), third = 1.0 / 3.0;
    const int small = size < 0x1p-900;
    const double a = size * (small ? 0x1p300 : 1.0), part = a * third;
    uint64_t bits;
    double guess;
    memcpy(&bits, &a, sizeof bits);
    bits = UINT64_C(0x553ef0ff289dd796) - (bits >> 32) * UINT64_C(0x55555555);
    memcpy(&guess, &bits, sizeof guess);
    for (int k = 0; k < 3; ++k) guess = guess * (4.0 / 3.0 - part * guess * (guess * guess));
    const double square = guess * guess, t = a * square, half = t * t * (0.5 * t) - 0.5 * a;
    const double root = (t - half * (square * (2.0 * third))) * (small ? 0x1p-100 : 1.0);
    return size > 0.0 && size < INFINITY ? copysign(root, x) : x;
}

/* What converts many numbers of 16 bits, of a form: the functions of optdsl/runtime/half.c, which a rule that is stepped
   with none of them can do without. */
typedef struct {
    void (*widen)(float *to, const uint16_t *from, int64_t n, int64_t form);
    void (*narrow)(uint16_t *to, const float *from, int64_t n, int64_t form);
    void (*follow)(float *master, const uint16_t *x, int64_t n, int64_t form);
    void (*count_lost)(const float *after, const uint16_t *stored, int64_t n, int64_t form, int64_t *counts);
} conversions;
static const conversions *convert;
/* Say where they are, before the first step of parameters of 16 bits. Written once, so that threads may go on reading. */
void optdsl_convert_with(const conversions *functions) {
    if (__atomic_load_n(&convert, __ATOMIC_RELAXED) != functions) __atomic_store_n(&convert, functions, __ATOMIC_RELEASE);
}

/* Gradients as the equations have them: clipped to +-limit, then scaled. */
static ALONE void clip_f32(float *restrict to, const float *restrict g, int64_t n, float limit, float scale) {
    for (int64_t i = 0; i < n; ++i) to[i] = lesser_f32(greater_f32(g[i], -limit), limit) * scale;
}
static ALONE void clip_f64(double *restrict to, const double *restrict g, int64_t n, double limit, double scale) {
    for (int64_t i = 0; i < n; ++i) to[i] = lesser_f64(greater_f64(g[i], -limit), limit) * scale;
}

/* Reductions: in lanes within a block, then lane by lane, then block by block. */
static ALONE void total_lanes(double *restrict lanes, const double *restrict run, int64_t length) {
    int64_t i = 0;
    for (; i + LANES <= length; i += LANES)
        for (int k = 0; k < LANES; ++k) lanes[k] += run[i + k];
    for (int k = 0; i < length; ++i, ++k) lanes[k] += run[i];
}
static ALONE double total_of(const double *lanes) {
    double sum = 0.0;
    for (int k = 0; k < LANES; ++k) sum += lanes[k];
    return sum;
}
static ALONE void largest_lanes(double *restrict lanes, const double *restrict run, int64_t length) {
    int64_t i = 0;
    for (; i + LANES <= length; i += LANES)
        for (int k = 0; k < LANES; ++k) lanes[k] = greater_f64(lanes[k], run[i + k]);
    for (int k = 0; i < length; ++i, ++k) lanes[k] = greater_f64(lanes[k], run[i]);
}
static ALONE double largest_of(const double *lanes) {
    double most = -INFINITY;
    for (int k = 0; k < LANES; ++k) most = greater_f64(most, lanes[k]);
    return most + 0.0; /* of zeros +0, whatever order they are looked at */
}

/* Reductions over lines of `line` elements, of a run that begins with element `at` of the first: the sum of each line
   that ends in the run goes to values, every `stride`. Lanes hold what is left of the last, short lines in the first. */
static inline void total_lines(
    double *restrict lanes, const double *restrict run, int64_t length, int64_t at, int64_t line, double *restrict values,
    int64_t stride
) {
    double sum = lanes[0];
    if (line == 1) {
        for (int64_t i = 0; i < length; ++i) values[(at + i) * stride] = 0.0 + run[i];
        return;
    }
    for (int64_t i = 0, r = at / line, left = line - at % line; i < length; left = line, ++r) {
        const int64_t n = left < length - i ? left : length - i;
        if (line < 2 * LANES) {
            for (int64_t k = 0; k < n; ++k) sum += run[i + k];
            if (n == left) values[r * stride] = sum, sum = 0.0;
        } else {
            total_lanes(lanes, run + i, n);
            if (n == left) {
                values[r * stride] = total_of(lanes);
                for (int k = 0; k < LANES; ++k) lanes[k] = 0.0;
            }
        }
        i += n;
    }
    if (line < 2 * LANES) lanes[0] = sum;
}
static inline void largest_lines(
    double *restrict lanes, const double *restrict run, int64_t length, int64_t at, int64_t line, double *restrict values,
    int64_t stride
) {
    double most = lanes[0];
    for (int64_t i = 0, r = at / line, left = line - at % line; i < length; left = line, ++r) {
        const int64_t n = left < length - i ? left : length - i;
        if (line < 2 * LANES) {
            for (int64_t k = 0; k < n; ++k) most = greater_f64(most, run[i + k]);
            if (n == left) values[r * stride] = most + 0.0, most = -INFINITY;
        } else {
            largest_lanes(lanes, run + i, n);
            if (n == left) {
                values[r * stride] = largest_of(lanes);
                for (int k = 0; k < LANES; ++k) lanes[k] = -INFINITY;
            }
        }
        i += n;
    }
    if (line < 2 * LANES) lanes[0] = most;
}

/* Run work(context, k, threads) for each k below threads, the first on the caller's thread. Threads are started for
   the call and joined before it returns: nothing is left behind for a fork or a second caller to trip over. One that
   can't be started is done without. */
typedef void (*work_function)(void *context, int64_t k, int64_t threads);
typedef struct { work_function work; void *context; int64_t k, threads; } share;
static void *run_share(void *argument) {
    share *s = argument;
    s->work(s->context, s->k, s->threads);
    return NULL;
}
static void parallel(work_function work, void *context, int64_t threads) {
    pthread_t started[MOST_THREADS];
    share shares[MOST_THREADS];
    int running[MOST_THREADS] = {0};
    for (int64_t k = 1; k < threads; ++k) {
        shares[k] = (share){work, context, k, threads};
        running[k] = pthread_create(&started[k], NULL, run_share, &shares[k]) == 0;
    }
    work(context, 0, threads);
    for (int64_t k = 1; k < threads; ++k) {
        if (running[k]) pthread_join(started[k], NULL);
        else work(context, k, threads);
    }
}
static int64_t worthwhile(int64_t elements, int64_t threads) {
    int64_t most = elements / WORTH + 1;
    if (most > MOST_THREADS) most = MOST_THREADS;
    return threads < 1 ? 1 : threads < most ? threads : most;
}

/* ---- after the sizes of the rule ---- */
enum { COLUMNS = STATES + TENSOR_STATES };

/* Lines that a thread takes through all passes at once, where nothing is reduced over all elements: a multiple of RUN, so
   that runs begin at the same elements whatever the length of the lines, and few, so that their values take little. */
enum { SOME_LINES = RUN * (LINES < 16 ? 16 / (LINES + !LINES) : 1) };
/* Whether a thread keeps what is reduced over the lines that it has in work; those longer than a block are shared. */
static inline int own_lines(const int64_t *row) { return ONLY_LINES && row[LINE] <= BLOCK; }
/* Where the values of a tensor's lines lie else, from the line of element lo on. */
static inline double *lines_at(const int64_t *row, int64_t lo) {
    return (double *)(uintptr_t)row[LINE_VALUES] + lo / row[LINE] * LINES;
}

/* Add up what the blocks of a tensor left, in order. */
static inline double total(const double *sums, int64_t parts) {
    double sum = 0.0;
    for (int64_t p = 0; p < parts; ++p) sum += sums[p * SUMS];
    return sum;
}
static inline double largest(const double *sums, int64_t parts) {
    double most = -INFINITY;
    for (int64_t p = 0; p < parts; ++p) most = greater_f64(most, sums[p * SUMS]);
    return most;
}

/* Parts of a tensor whose reductions are added up together, in the order of their elements: blocks, which don't cut a
   line in two where LINES are reduced; but for lines longer than a block, which are blocks each. */
static inline int64_t block_length(const int64_t *row) {
    return !LINES || row[LINE] > BLOCK ? BLOCK : BLOCK / row[LINE] * row[LINE];
}
static inline int64_t blocks_of(const int64_t *row) {
    const int64_t n = row[COUNT], line = row[LINE], length = block_length(row);
    return LINES && line > BLOCK ? n / line * ((line + BLOCK - 1) / BLOCK) : (n + length - 1) / length;
}
static inline void block_of(const int64_t *row, int64_t b, int64_t *lo, int64_t *hi) {
    const int64_t line = row[LINE], length = block_length(row), of_line = (line + BLOCK - 1) / BLOCK;
    const int64_t end = LINES && line > BLOCK ? (b / of_line + 1) * line : row[COUNT];
    *lo = LINES && line > BLOCK ? b / of_line * line + b % of_line * BLOCK : b * length;
    *hi = *lo + length < end ? *lo + length : end;
}

/* Repeat the value of each line for its elements, from element `at` of a tensor on. */
static inline void repeat_f32(float *restrict to, const double *restrict values, int64_t length, int64_t at, int64_t line) {
    if (line == 1) {
        for (int64_t i = 0; i < length; ++i) to[i] = (float)values[(at + i) * LINES];
        return;
    }
    for (int64_t i = 0, r = at / line, left = line - at % line; i < length; left = line, ++r) {
        const int64_t end = left < length - i ? i + left : length;
        for (const float value = (float)values[r * LINES]; i < end; ++i) to[i] = value;
    }
}
static inline void repeat_f64(double *restrict to, const double *restrict values, int64_t length, int64_t at, int64_t line) {
    if (line == 1) {
        for (int64_t i = 0; i < length; ++i) to[i] = (double)values[(at + i) * LINES];
        return;
    }
    for (int64_t i = 0, r = at / line, left = line - at % line; i < length; left = line, ++r) {
        const int64_t end = left < length - i ? i + left : length;
        for (const double value = values[r * LINES]; i < end; ++i) to[i] = value;
    }
}

/* The place in a tensor of n elements where a split of all elements falls: on a cache line, or at an end. */
static inline int64_t split_in(int64_t place, int64_t n) {
    return place <= 0 ? 0 : place >= n ? n : place & ~(int64_t)63;
}
static inline int64_t split_of(int64_t elements, int64_t k, int64_t threads) {
    return k >= threads ? elements : elements / threads * k;
}

/* The loops over elements [lo, hi) of a tensor, and those over elements of 16 bits: these are widened into a thread's room
   first, 2 * held floats, unless they have a master copy, and what becomes of the parameter is rounded when the last pass
   is done with it. Where sums are made, held is no less than the elements there are. */
typedef void elements_function(
    const int64_t *row, const double *c, int64_t lo, int64_t hi, int phase, double *sums, double *lines
);
static int last_pass(const int64_t *row);
static ALONE void halves(
    elements_function *elements, float *room, int64_t held, const int64_t *row, const double *c, int64_t lo, int64_t hi,
    int phase, double *sums, double *lines
) {
    int64_t own[COLUMNS];
    memcpy(own, row, sizeof own);
    for (int64_t at = lo; at < hi && phase <= last_pass(row); at += held) {
        const int64_t n = hi - at < held ? hi - at : held, before = at * (int64_t)sizeof *room;
        uint16_t *const x = (uint16_t *)(uintptr_t)row[PARAMETER] + at;
        const uint16_t *const g = (const uint16_t *)(uintptr_t)row[GRADIENT] + at;
        float *const wide = row[MASTER] ? (float *)(uintptr_t)row[MASTER] + at : room;
        if (row[MASTER]) convert->follow(wide, x, n, row[STORED]);
        else convert->widen(wide, x, n, row[STORED]);
        own[PARAMETER] = (int64_t)(uintptr_t)wide - before;
        if (row[GIVEN] != PLAIN) {
            convert->widen(room + held, g, n, row[GIVEN]);
            own[GRADIENT] = (int64_t)(uintptr_t)(room + held) - before;
        }
        elements(own, c, at, at + n, phase, sums, lines);
        if (phase < last_pass(row)) continue;
        /* In the steps whose number is a power of two. */
        if (row[LOST] && !(row[STEPS] & (row[STEPS] + 1))) convert->count_lost(wide, x, n, row[STORED], (int64_t *)(uintptr_t)row[LOST]);
        convert->narrow(x, wide, n, row[STORED]);
    }
}

static inline int same_scalars(const int64_t *a, const int64_t *b) {
    return a[STEPS] == b[STEPS] && a[VARIANT] == b[VARIANT] && a[HYPERS] == b[HYPERS];
}

/* ---- for each element type ---- */

typedef struct {
    const int64_t *table;
    int64_t rows, elements;
    float *room;     /* where threads widen elements of 16 bits, 2 * held for each */
    int64_t held;
    double **c;      /* the scalars of each row */
    double *scalars; /* where they lie */
    int64_t row;     /* of a large tensor in work */
    int phase;
    double *partial; /* what its blocks leave, SUMS each, then LINES each where lines are longer than a block */
} step_$S;

/* Elements of a tensor, whatever form they are in, on thread k. */
static inline void pass_$S(
    const step_$S *s, int64_t k, const int64_t *row, const double *c, int64_t lo, int64_t hi, int phase, double *sums,
    double *lines
) {
    if (row[STORED] == PLAIN) elements_$S(row, c, lo, hi, phase, sums, lines);
    else halves(elements_$S, s->room + 2 * s->held * k, s->held, row, c, lo, hi, phase, sums, lines);
}

/* Rules without reductions: each thread takes an equal share of all elements. */
static void share_$S(void *context, int64_t k, int64_t threads) {
    const step_$S *s = context;
    const int64_t from = split_of(s->elements, k, threads), to = split_of(s->elements, k + 1, threads);
    double sums[SUMS];
    int64_t at = 0;
    for (int64_t r = 0; r < s->rows && at <= to; ++r) {
        const int64_t *row = s->table + r * COLUMNS, n = row[COUNT];
        const int64_t lo = split_in(from - at, n), hi = split_in(to - at, n);
        if (lo < hi) pass_$S(s, k, row, s->c[r], lo, hi, 0, sums, NULL);
        at += n;
    }
}

/* Some lines at a time through all passes, from element lo on, which begins a line: what is reduced over them is at hand
   in the next pass. */
static ALONE void lines_$S(const step_$S *s, int64_t k, const int64_t *row, const double *c, int64_t lo, int64_t hi) {
    double sums[SUMS], values[SOME_LINES * LINES + 1];
    for (int64_t at = lo, most = SOME_LINES * row[LINE]; at < hi; at += most)
        for (int phase = 0; phase < PHASES; ++phase)
            pass_$S(s, k, row, c, at, at + most < hi ? at + most : hi, phase, sums, values);
}

/* Rules with reductions, small tensors: each thread takes whole tensors through all passes. */
static void whole_$S(void *context, int64_t k, int64_t threads) {
    const step_$S *s = context;
    const int64_t from = split_of(s->elements, k, threads), to = split_of(s->elements, k + 1, threads);
    int64_t at = 0;
    for (int64_t r = 0; r < s->rows; ++r) {
        const int64_t *row = s->table + r * COLUMNS, n = row[COUNT];
        if (n <= BLOCK && at >= from && (at < to || k == threads - 1)) {
            for (int phase = 0; phase < PHASES; ++phase) {
                double sums[SUMS];
                between(row, s->c[r], phase);
                if (n > 0 && !own_lines(row)) pass_$S(s, k, row, s->c[r], 0, n, phase, sums, lines_at(row, 0));
                folded(row, s->c[r], phase, sums, n > 0);
            }
            if (own_lines(row)) lines_$S(s, k, row, s->c[r], 0, n);
        }
        at += n;
    }
}

/* Rules with reductions, one large tensor, one pass: each thread takes an equal share of its blocks. */
static void blocks_$S(void *context, int64_t k, int64_t threads) {
    const step_$S *s = context;
    const int64_t *row = s->table + s->row * COLUMNS, blocks = blocks_of(row);
    for (int64_t b = blocks * k / threads; b < blocks * (k + 1) / threads; ++b) {
        int64_t lo, hi;
        block_of(row, b, &lo, &hi);
        if (own_lines(row)) {
            lines_$S(s, k, row, s->c[s->row], lo, hi);
            continue;
        }
        double *const lines = row[LINE] > BLOCK ? s->partial + blocks * SUMS + b * LINES : lines_at(row, lo);
        pass_$S(s, k, row, s->c[s->row], lo, hi, s->phase, s->partial + b * SUMS, lines);
    }
}

static void end_$S(step_$S *s) {
    free(s->c), free(s->scalars), free(s->partial), free(s->room);
}

/* Get what a step of every row of a table needs. Returns 1 where there is no memory. */
static int begin_$S(step_$S *s, int64_t rows, const int64_t *table, int64_t threads) {
    *s = (step_$S){.table = table, .rows = rows};
    int64_t most = 0;
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t blocks = blocks_of(table + r * COLUMNS);
        s->elements += table[r * COLUMNS + COUNT];
        if (blocks > most) most = blocks;
        if (table[r * COLUMNS + STORED] != PLAIN && table[r * COLUMNS + COUNT] > s->held) s->held = table[r * COLUMNS + COUNT];
    }
    if (s->held > (REDUCTIONS ? BLOCK : PIECE)) s->held = REDUCTIONS ? BLOCK : PIECE;
    s->room = malloc((size_t)(2 * s->held * worthwhile(s->elements, threads) + 1) * sizeof *s->room);
    s->scalars = malloc((size_t)(rows + 1) * (SLOTS + 1) * sizeof *s->scalars);
    s->c = malloc((size_t)(rows + 1) * sizeof *s->c);
    if (REDUCTIONS) s->partial = malloc((size_t)(most + 1) * (SUMS + LINES) * sizeof *s->partial);
    return !s->scalars || !s->c || !s->room || (REDUCTIONS && !s->partial);
}

static void run_$S(step_$S *s, int64_t threads) {
    for (int64_t r = 0; r < s->rows; ++r) {
        const int64_t *row = s->table + r * COLUMNS;
        if (!OWN_SCALARS && r > 0 && same_scalars(row, row - COLUMNS)) {
            s->c[r] = s->c[r - 1];
        } else {
            s->c[r] = s->scalars + r * (SLOTS + 1);
            prologue(row, s->c[r]);
        }
    }
    if (!REDUCTIONS) {
        parallel(share_$S, s, worthwhile(s->elements, threads));
    } else {
        parallel(whole_$S, s, worthwhile(s->elements, threads));
        for (s->row = 0; s->row < s->rows; ++s->row) {
            const int64_t *row = s->table + s->row * COLUMNS, n = row[COUNT];
            for (s->phase = 0; n > BLOCK && s->phase < PHASES; ++s->phase) {
                between(row, s->c[s->row], s->phase);
                /* Lines that threads keep go through all passes in the last. */
                if (own_lines(row) && s->phase < PHASES - 1) continue;
                parallel(blocks_$S, s, worthwhile(n, threads));
                folded(row, s->c[s->row], s->phase, s->partial, blocks_of(row));
            }
        }
    }
    for (int64_t r = 0; SCALAR_STATES && r < s->rows; ++r) finish(s->table + r * COLUMNS, s->c[r]);
}

/* What is found in the elements [at, at + n) of the gradient of a row. */
typedef double look_$S(const int64_t *row, int64_t at, int64_t n, $T limit);

/* Elements of a gradient, which are widened into `room` where they have 16 bits. */
static ALONE const $T *given_$S($T *room, const int64_t *row, int64_t at, int64_t n) {
    if (row[GIVEN] == PLAIN) return (const $T *)(uintptr_t)row[GRADIENT] + at;
    convert->widen((float *)room, (const uint16_t *)(uintptr_t)row[GRADIENT] + at, n, row[GIVEN]); /* where $T is float */
    return room;
}

/* The sum of squares of elements, each clipped to +-limit first; in float64. */
static double squares_$S(const int64_t *row, int64_t first, int64_t n, $T limit) {
    double lanes[LANES] = {0.0}, run[RUN];
    $T room[RUN], clipped[RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t length = n - at < RUN ? n - at : RUN;
        const $T *of = given_$S(room, row, first + at, length);
        if (limit < ($T)INFINITY) clip_$S(clipped, of, length, limit, 1), of = clipped;
        for (int64_t i = 0; i < length; ++i) run[i] = (double)of[i] * (double)of[i];
        total_lanes(lanes, run, length);
    }
    return total_of(lanes);
}
/* 1 where an element is infinite or NaN, else 0. */
static double strange_$S(const int64_t *row, int64_t first, int64_t n, $T limit) {
    $T room[RUN];
    int bad = 0;
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t length = n - at < RUN ? n - at : RUN;
        const $T *g = given_$S(room, row, first + at, length);
        for (int64_t i = 0; i < length; ++i) bad |= !(fabs$F(g[i]) < ($T)INFINITY);
    }
    (void)limit;
    return bad;
}

/* Look through the gradients of all rows; what is found in the blocks of each is added up in their order. */
typedef struct { const int64_t *table; int64_t rows, blocks; look_$S *look; $T limit; double *found; } scan_$S;
static void scan_share_$S(void *context, int64_t k, int64_t threads) {
    const scan_$S *s = context;
    const int64_t from = s->blocks * k / threads, to = s->blocks * (k + 1) / threads;
    for (int64_t r = 0, at = 0; r < s->rows && at < to; ++r) {
        const int64_t *row = s->table + r * COLUMNS, n = row[COUNT], blocks = (n + BLOCK - 1) / BLOCK;
        for (int64_t b = from > at ? from - at : 0; b < blocks && at + b < to; ++b) {
            const int64_t first = b * BLOCK;
            s->found[at + b] = s->look(row, first, n - first < BLOCK ? n - first : BLOCK, s->limit);
        }
        at += blocks;
    }
}
static int look_through_$S(int64_t rows, const int64_t *table, look_$S *look, double limit, int64_t threads, double *sums) {
    scan_$S s = {table, rows, 0, look, ($T)limit, NULL};
    int64_t elements = 0;
    for (int64_t r = 0; r < rows; ++r) {
        elements += table[r * COLUMNS + COUNT];
        s.blocks += (table[r * COLUMNS + COUNT] + BLOCK - 1) / BLOCK;
    }
    s.found = malloc((size_t)(s.blocks + 1) * sizeof *s.found);
    if (!s.found) return 1;
    parallel(scan_share_$S, &s, worthwhile(elements, threads));
    for (int64_t r = 0, at = 0; r < rows; ++r) {
        const int64_t end = at + (table[r * COLUMNS + COUNT] + BLOCK - 1) / BLOCK;
        for (sums[r] = 0.0; at < end; ++at) sums[r] += s.found[at];
    }
    free(s.found);
    return 0;
}

/* ---- after both element types ---- */

/* Step every row of two tables, in place; parameters of 16 bits are among those of float. Returns 0, or 1 without having changed anything where there is no memory. */
int optdsl_step(int64_t rows_f32, const int64_t *table_f32, int64_t rows_f64, const int64_t *table_f64, int64_t threads) {
    step_f32 single;
    step_f64 wide;
    const int failed = begin_f32(&single, rows_f32, table_f32, threads) | begin_f64(&wide, rows_f64, table_f64, threads);
    if (!failed && rows_f32 > 0) run_f32(&single, threads);
    if (!failed && rows_f64 > 0) run_f64(&wide, threads);
    end_f32(&single), end_f64(&wide);
    return failed;
}

/* For every row of two tables, one table after the other: the sum of squares of its gradient, each element clipped to
   +-limit first. Returns 0, or 1 where there is no memory. */
int optdsl_squares(
    int64_t rows_f32, const int64_t *table_f32, int64_t rows_f64, const int64_t *table_f64, double limit, int64_t threads,
    double *sums
) {
    return look_through_f32(rows_f32, table_f32, squares_f32, limit, threads, sums)
        || look_through_f64(rows_f64, table_f64, squares_f64, limit, threads, sums + rows_f32);
}

/* For every row of two tables: in how many blocks its gradient isn't finite. Returns 0, or 1 where there is no memory. */
int optdsl_strange(
    int64_t rows_f32, const int64_t *table_f32, int64_t rows_f64, const int64_t *table_f64, int64_t threads, double *blocks
) {
    return look_through_f32(rows_f32, table_f32, strange_f32, 0.0, threads, blocks)
        || look_through_f64(rows_f64, table_f64, strange_f64, 0.0, threads, blocks + rows_f32);
}
