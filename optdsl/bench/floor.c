/* ---- after the passes ---- */

/* The place in a tensor of n elements where a split of all elements falls: on a cache line, or at an end. */
static inline int64_t floor_place(int64_t place, int64_t n) {
    return place <= 0 ? 0 : place >= n ? n : place & ~(int64_t)63;
}

typedef struct {
    const int64_t *table;
    int64_t rows, elements, row;
    int pass;
    uint64_t mask;               /* of what is changed */
    uint64_t seen[MOST_THREADS]; /* what was only read, so that it has to be */
} floor_step;

/* Rows from first to last: each thread takes an equal share of all elements, and goes through the passes of each piece
   before the next; without PIECES they are a tensor's share. */
static void floor_share(void *context, int64_t k, int64_t threads) {
    floor_step *s = context;
    const int64_t from = s->elements / threads * k;
    const int64_t to = k + 1 >= threads ? s->elements : s->elements / threads * (k + 1);
    int64_t at = 0;
    for (int64_t r = 0; r < s->rows && at <= to; ++r) {
        const int64_t *row = s->table + r * COLUMNS, n = row[0];
        const int64_t lo = floor_place(from - at, n), hi = floor_place(to - at, n), piece = PIECES ? BLOCK : hi - lo;
        for (int64_t i = lo; i < hi; i += piece)
            for (int pass = 0; pass < PASSES; ++pass)
                s->seen[k] ^= floor_pass(row, pass, i, i + piece < hi ? i + piece : hi, s->mask);
        at += n;
    }
}

/* Rules with reductions over a tensor: whole small ones through all passes, and a pass of a large one at a time. */
static void floor_small(void *context, int64_t k, int64_t threads) {
    floor_step *s = context;
    const int64_t from = s->elements / threads * k;
    const int64_t to = k + 1 >= threads ? s->elements : s->elements / threads * (k + 1);
    int64_t at = 0;
    for (int64_t r = 0; r < s->rows; ++r) {
        const int64_t *row = s->table + r * COLUMNS, n = row[0];
        for (int pass = 0; n <= BLOCK && at >= from && at < to && pass < PASSES; ++pass)
            s->seen[k] ^= floor_pass(row, pass, 0, n, s->mask);
        at += n;
    }
}
static void floor_large(void *context, int64_t k, int64_t threads) {
    floor_step *s = context;
    const int64_t *row = s->table + s->row * COLUMNS, n = row[0];
    const int64_t lo = floor_place(n / threads * k, n), hi = k + 1 >= threads ? n : floor_place(n / threads * (k + 1), n);
    s->seen[k] ^= floor_pass(row, s->pass, lo, hi, s->mask);
}

/* Move what a step of every row moves. What is written differs in the bits of the mask from what was there; without any
   the arrays stay as they are, which no compiler knows. */
uint64_t optdsl_floor(int64_t rows, const int64_t *table, int64_t threads, uint64_t mask) {
    floor_step s = {.table = table, .rows = rows, .mask = mask};
    for (int64_t r = 0; r < rows; ++r) s.elements += table[r * COLUMNS];
    parallel(WHOLE ? floor_small : floor_share, &s, worthwhile(s.elements, threads));
    for (s.row = 0; WHOLE && s.row < rows; ++s.row)
        for (s.pass = 0; table[s.row * COLUMNS] > BLOCK && s.pass < PASSES; ++s.pass)
            parallel(floor_large, &s, worthwhile(table[s.row * COLUMNS], threads));
    uint64_t seen = 0;
    for (int k = 0; k < MOST_THREADS; ++k) seen ^= s.seen[k];
    return seen;
}
