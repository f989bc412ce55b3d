/* Products of whole numbers of 16 bits, for sets that multiply and add pairs of them faster than fp32. Part of learning_body.h.
 *
 * Of each row of a, and each column of b, every KERNEL_ROUND numbers along k have a step of their own: the greatest of them over
 * MOST_WORD, to a multiple of which they are rounded. KERNEL_ROUND products of two such numbers fit into 32 bits, so their sums are exact;
 * each then adds, times both steps, to an fp32 sum, k ascending. A row that holds an infinity or a NaN has the step NaN.
 */
enum {
    MOST_WORD = 4095, /* 4095^2 * 128 < 2^31 */
};

static vec magnitude(vec x)
{
    return vec_max(x, vec_sub(vec_all(0), x));
}

/* 1 / step, or 0 where all is 0 or not a number. */
static float words_per_step(float step)
{
    return step > 0 ? 1 / step : 0;
}

static int whole_pairs(int n)
{
    return (n + PAIR - 1) / PAIR;
}

/* One row of n numbers beside each other; zeros to whole pairs. */
static float round_row(const float *x, int n, int16_t *to)
{
    vec most = vec_all(0), bad = vec_all(0);
    int16_t last[LANES];
    for (int i = 0; i < n; i += LANES) {
        const vec v = vec_load_first(x + i, n - i);
        most = vec_max(magnitude(v), most);
        bad = vec_fma(v, vec_all(0), bad);
    }
    const float step = vec_most(most) / MOST_WORD + vec_sum(bad);
    const vec by = vec_all(words_per_step(step));
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        words_store(to + i, vec_mul(vec_load(x + i), by));
    if (i < n) {
        words_store(last, vec_mul(vec_load_first(x + i, n - i), by));
        memcpy(to + i, last, (size_t)(whole_pairs(n - i) * PAIR) * sizeof *last);
    }
    return step;
}

/* `columns` (up to LANES) numbers beside each other, n deep: pairs along the depth, `to` and steps of LANES a column. */
static void round_columns(const float *x, ptrdiff_t row, int columns, int n, int16_t *to, ptrdiff_t to_row, float *steps)
{
    vec most = vec_all(0), bad = vec_all(0);
    for (int k = 0; k < n; k++) {
        const vec v = vec_load_first(x + k * row, columns);
        most = vec_max(magnitude(v), most);
        bad = vec_fma(v, vec_all(0), bad);
    }
    const vec step = vec_add(vec_mul(most, vec_all(1.0f / MOST_WORD)), bad);
    float by[LANES];
    vec_store(steps, step);
    for (int i = 0; i < LANES; i++)
        by[i] = words_per_step(steps[i]);
    for (int k = 0; k < n; k += PAIR, to += to_row) {
        vec some[PAIR];
        UNROLL for (int i = 0; i < PAIR; i++)
            some[i] = k + i < n ? vec_mul(vec_load_first(x + (k + i) * row, columns), vec_load(by)) : vec_all(0);
        words_round(to, some);
    }
}

/* Rows lie as a does: beside their own numbers, or beside each other. */
static void round_rows(const float *a, ptrdiff_t a_row, ptrdiff_t a_k, int rows, int depth, const struct kernel_words *to)
{
    for (int k = 0; k < depth; k += KERNEL_ROUND) {
        const int n = depth - k < KERNEL_ROUND ? depth - k : KERNEL_ROUND;
        int16_t *at = to->numbers + k / PAIR * to->k * PAIR;
        float *steps = to->steps + k / KERNEL_ROUND * to->steps_row;
        for (int r = 0; r < rows && a_k == 1; r++)
            steps[r] = round_row(a + r * a_row + k, n, at + r * to->row * PAIR);
        for (int r = 0; r < rows && a_k != 1; r += LANES) {
            int16_t some[KERNEL_ROUND * LANES];
            float of[LANES];
            const int columns = rows - r < LANES ? rows - r : LANES;
            round_columns(a + k * a_k + r, a_k, columns, n, some, LANES * PAIR, of);
            memcpy(steps + r, of, (size_t)columns * sizeof *of);
            for (int p = 0; p < whole_pairs(n); p++)
                memcpy(at + (p * to->k + r) * PAIR, some + p * LANES * PAIR, (size_t)(columns * PAIR) * sizeof *some);
        }
    }
}

/* Where in a panel its steps are: after its numbers, which take half of what they took. */
static ptrdiff_t panel_steps(int depth)
{
    return (ptrdiff_t)whole_pairs(depth) * PAIR / 2 * PANEL;
}

/* In place: what is written lies before what is still to be read, but for the steps, which are kept until then. */
static void round_panel(float *panel, int depth)
{
    float steps[(KERNEL_DEPTH + KERNEL_ROUND - 1) / KERNEL_ROUND][PANEL];
    for (int k = 0; k < depth; k += KERNEL_ROUND) {
        const int n = depth - k < KERNEL_ROUND ? depth - k : KERNEL_ROUND;
        _Alignas(64) int16_t some[KERNEL_ROUND * PANEL];
        for (int j = 0; j < PANEL; j += LANES)
            round_columns(panel + (ptrdiff_t)k * PANEL + j, PANEL, LANES, n, some + j * PAIR, PANEL * PAIR, steps[k / KERNEL_ROUND] + j);
        memcpy((int16_t *)(void *)panel + (ptrdiff_t)k * PANEL, some, (size_t)whole_pairs(n) * PAIR * PANEL * sizeof *some);
    }
    memcpy(panel + panel_steps(depth), steps, (size_t)((depth + KERNEL_ROUND - 1) / KERNEL_ROUND) * sizeof *steps);
}

/* Rows, and what is added to c of them, for KERNEL_ROUND numbers or fewer of each. */
struct words_block {
    int pairs, accumulate;
    const int16_t *numbers;
    const float *steps;
    ptrdiff_t row, k, c_row; /* from one row to the next, from one pair to the next */
};

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* KERNEL_ROUND or fewer numbers of R rows by a panel, which stays in the first cache while rows go by; what the next rows read is asked for. */
INLINE void words_tile(const struct words_block *b, int first, const int16_t *panel, const float *panel_at, float *c, int columns, int R, int V)
{
    const ptrdiff_t row = b->row, step = b->k;
    const int16_t *at[2 * PRODUCT_ROWS / 3];
    whole sums[2 * PRODUCT_ROWS][PRODUCT_VECTORS];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            sums[r][v] = whole_zero();
    UNROLL for (int r = 0; r < R; r += 3)
        at[r / 3] = b->numbers + (first + r) * row;
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int i = 0; i < V * LANES; i += A_LINE)
            __builtin_prefetch(c + r * b->c_row + i, 1);
    for (int k = b->pairs; k > 0; k--) {
        words shared[PRODUCT_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            shared[v] = words_load(panel + v * LANES * PAIR);
        UNROLL for (int r = 0; r < R; r++) {
            const words x = words_all(at[r / 3] + r % 3 * row);
            UNROLL for (int v = 0; v < V; v++)
                sums[r][v] = whole_add_products(sums[r][v], x, shared[v]);
        }
        UNROLL for (int r = 0; r < R; r += 3)
            at[r / 3] += step;
        panel += PANEL * PAIR;
    }
    UNROLL for (int r = 0; r < R; r++) {
        const vec of_row = vec_all(b->steps[first + r]);
        float *to = c + r * b->c_row;
        UNROLL for (int v = 0; v < V; v++) {
            const int left = columns - v * LANES;
            const vec before = b->accumulate ? vec_load_first(to + v * LANES, left) : vec_all(0);
            vec_store_first(to + v * LANES, left,
                            vec_fma(whole_to_floats(sums[r][v]), vec_mul(of_row, vec_load(panel_at + v * LANES)), before));
        }
    }
}

#define WORDS_OF_ROWS(n, V)                                                                                            \
    case n:                                                                                                            \
        words_tile(b, first, panel, steps, c, columns, n, V);                                                               \
        break;
#define WORDS_TILES(V, more)                                                                                           \
    static void words_tiles_##V(const struct words_block *b, int first, const int16_t *panel, const float *steps, float *c, int columns, int R) \
    {                                                                                                                  \
        switch (R) {                                                                                                   \
            WORDS_OF_ROWS(1, V)                                                                                        \
            WORDS_OF_ROWS(2, V)                                                                                        \
            WORDS_OF_ROWS(3, V)                                                                                        \
            WORDS_OF_ROWS(4, V)                                                                                        \
            WORDS_OF_ROWS(5, V)                                                                                        \
            WORDS_OF_ROWS(6, V)                                                                                        \
            more                                                                                                       \
        }                                                                                                              \
    }
/* clang-format on */

WORDS_TILES(1, )
WORDS_TILES(2, )
#if PRODUCT_VECTORS == 4
WORDS_TILES(3, )
WORDS_TILES(4, )
#endif

static void words_tiles(const struct words_block *b, int first, const int16_t *panel, const float *steps, float *c, int columns, int R)
{
    switch ((columns + LANES - 1) / LANES) {
    case 1: words_tiles_1(b, first, panel, steps, c, columns, R); break;
    case 2: words_tiles_2(b, first, panel, steps, c, columns, R); break;
#if PRODUCT_VECTORS == 4
    case 3: words_tiles_3(b, first, panel, steps, c, columns, R); break;
    case 4: words_tiles_4(b, first, panel, steps, c, columns, R); break;
#endif
    }
}

/* Rows of `words` by panels that round_panel made. */
static void product_words(const struct kernel_block *b)
{
    for (int k = 0; k < b->depth; k += KERNEL_ROUND) {
        const struct words_block block = {.pairs = whole_pairs(b->depth - k < KERNEL_ROUND ? b->depth - k : KERNEL_ROUND),
                                          .numbers = b->words.numbers + k / PAIR * b->words.k * PAIR,
                                          .steps = b->words.steps + k / KERNEL_ROUND * b->words.steps_row,
                                          .row = b->words.row * PAIR, .k = b->words.k * PAIR, .c_row = b->c_row,
                                          .accumulate = b->accumulate || k};
        for (int first = 0, R; first < b->rows; first += R) {
            const int left = b->rows - first, tiles = (left + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
            R = (left + tiles - 1) / tiles;
            for (int j = 0; j < b->columns; j += PANEL) {
                const float *panel = b->b + j / PANEL * b->b_panel;
                words_tiles(&block, first, (const int16_t *)(const void *)panel + (ptrdiff_t)k * PANEL,
                            panel + panel_steps(b->depth) + k / KERNEL_ROUND * PANEL, b->c + first * b->c_row + j,
                            b->columns - j < PANEL ? b->columns - j : PANEL, R);
            }
        }
    }
}
