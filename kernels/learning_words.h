/* Products of whole numbers of 16 bits, for sets that multiply and add pairs of them faster than fp32. Part of learning_body.h.
 *
 * Of each row of a, and each column of b, every KERNEL_ROUND numbers along k have a step of their own: the greatest of them over
 * MOST_WORD, to a multiple of which they are rounded. KERNEL_ROUND products of two such numbers fit into 32 bits, so their sums are exact;
 * each then adds, times both steps, to an fp32 sum, k ascending. A row that holds an infinity or a NaN has the step NaN.
 */
enum {
    MOST_WORD = 3343, /* 3343^2 * 192 < 2^31 */
    WORDS_ROWS = 192, /* whose sums lie in the second cache beside a panel */
};

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
    int16_t last[LANES];
    const float step = vec_greatest(x, n) / MOST_WORD;
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

/* The first LANES, or `columns`, of numbers beside each other, n deep: pairs along the depth, `to` and steps of LANES a column. */
static void round_columns(const float *x, ptrdiff_t row, int columns, int n, int16_t *to, ptrdiff_t to_row, float *steps)
{
    vec most = vec_all(0);
    for (int k = 0; k < n; k++)
        most = vec_max_bits(most, vec_load_first(x + k * row, columns));
    const vec step = vec_fma(most, vec_all(0), vec_mul(most, vec_all(1.0f / MOST_WORD))); /* NaN of an infinity */
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

/* Where in a panel its steps are. */
static ptrdiff_t panel_steps(int depth)
{
    return (ptrdiff_t)kernel_rounded_floats(PAIR, depth) * PANEL;
}

/* Columns beside each other, or each beside its own numbers: these are rounded as rows are, and turned by pairs. */
static void round_panel(const float *from, ptrdiff_t from_k, ptrdiff_t from_column, int columns, int k, int n, int depth, float *panel)
{
    int16_t *to = (int16_t *)(void *)panel + (ptrdiff_t)k * PANEL, rows[PANEL * KERNEL_ROUND];
    float *steps = panel + panel_steps(depth) + k / KERNEL_ROUND * PANEL;
    if (from_column == 1) {
        for (int j = 0; j < PANEL; j += LANES)
            round_columns(from + j, from_k, columns - j, n, to + j * PAIR, PANEL * PAIR, steps + j);
        return;
    }
    for (int j = 0; j < PANEL; j++)
        steps[j] = j < columns ? round_row(from + j * from_column, n, rows + j * KERNEL_ROUND) : 0;
    transpose((const float *)(const void *)rows, KERNEL_ROUND / PAIR, columns, whole_pairs(n), (float *)(void *)to);
}

/* KERNEL_ROUND numbers or fewer of rows: what they are added to, and where that goes. */
struct words_block {
    int pairs;
    const int16_t *numbers;
    const float *steps;
    ptrdiff_t row, k; /* from one row to the next, from one pair to the next */
    const float *before; /* or NULL */
    float *to;
    ptrdiff_t before_row, to_row;
    const float *ask; /* lines of every row that are asked for meanwhile, `asked` of them */
    ptrdiff_t ask_row;
    int asked;
};

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* KERNEL_ROUND or fewer numbers of R rows by a panel, which stays in the first cache while rows go by; what the next rows read is asked for. */
INLINE void words_tile(const struct words_block *b, int first, const int16_t *panel, const float *panel_at, int column, int columns, int R, int V)
{
    const ptrdiff_t row = b->row, step = b->k;
    const int16_t *at[2 * PRODUCT_ROWS / 3];
    whole sums[2 * PRODUCT_ROWS][PRODUCT_VECTORS];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            sums[r][v] = whole_zero();
    UNROLL for (int r = 0; r < R; r += 3)
        at[r / 3] = b->numbers + (first + r) * row;
    for (int i = 0; i < b->asked; i++)
        UNROLL for (int r = 0; r < R; r++)
            __builtin_prefetch(b->ask + (first + r) * b->ask_row + column + i * A_LINE, 1);
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
        const float *before = b->before + (first + r) * b->before_row + column;
        float *to = b->to + (first + r) * b->to_row + column;
        UNROLL for (int v = 0; v < V; v++) {
            const int left = columns - v * LANES;
            const vec sum = b->before ? vec_load_first(before + v * LANES, left) : vec_all(0);
            vec_store_first(to + v * LANES, left,
                            vec_fma(whole_to_floats(sums[r][v]), vec_mul(of_row, vec_load(panel_at + v * LANES)), sum));
        }
    }
}

#define WORDS_OF_ROWS(n, V)                                                                                            \
    case n:                                                                                                            \
        words_tile(b, first, panel, steps, column, columns, n, V);                                                               \
        break;
#define WORDS_TILES(V, more)                                                                                           \
    static void words_tiles_##V(const struct words_block *b, int first, const int16_t *panel, const float *steps, int column, int columns, int R) \
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

#if PRODUCT_VECTORS == 4
WORDS_TILES(1, WORDS_OF_ROWS(8, 1) WORDS_OF_ROWS(10, 1) WORDS_OF_ROWS(12, 1))
WORDS_TILES(2, WORDS_OF_ROWS(8, 2) WORDS_OF_ROWS(10, 2) WORDS_OF_ROWS(12, 2))
#else
WORDS_TILES(1, WORDS_OF_ROWS(8, 1) WORDS_OF_ROWS(10, 1) WORDS_OF_ROWS(12, 1))
WORDS_TILES(2, )
#endif
#if PRODUCT_VECTORS == 4
WORDS_TILES(3, )
WORDS_TILES(4, )
#endif

static void words_tiles(const struct words_block *b, int first, const int16_t *panel, const float *steps, int column, int columns, int R)
{
    switch ((columns + LANES - 1) / LANES) {
    case 1: words_tiles_1(b, first, panel, steps, column, columns, R); break;
    case 2: words_tiles_2(b, first, panel, steps, column, columns, R); break;
#if PRODUCT_VECTORS == 4
    case 3: words_tiles_3(b, first, panel, steps, column, columns, R); break;
    case 4: words_tiles_4(b, first, panel, steps, column, columns, R); break;
#endif
    }
}


/* Columns [from, from + columns) of `rows` rows, for the numbers from k on. */
static void words_columns(const struct kernel_block *b, const struct words_block *block, int rows, int k, int from, int columns, int most)
{
    for (int first = 0, R; first < rows; first += R) {
        R = tile_rows(rows - first, most);
        for (int j = from; j < from + columns; j += PANEL) {
            const float *panel = b->b + j / PANEL * b->b_panel;
            words_tiles(block, first, (const int16_t *)(const void *)panel + (ptrdiff_t)k * PANEL,
                        panel + panel_steps(b->depth) + k / KERNEL_ROUND * PANEL, j, from + columns - j < PANEL ? from + columns - j : PANEL, R);
        }
    }
}

/* Rows [row, row + rows). Between their first numbers and their last, sums lie close together: rows of c, a power of two apart, would
 * push each other out of the caches. */
static void words_rows(const struct kernel_block *b, int row, int rows)
{
    _Alignas(64) float sums[WORDS_ROWS * KERNEL_PANEL];
    const int full = b->columns / PANEL * PANEL, rest = b->columns - full;
    float *c = b->c + row * b->c_row;
    const int lines = PANEL / A_LINE, blocks = b->accumulate || b->depth <= KERNEL_ROUND ? 1 : (b->depth - 1) / KERNEL_ROUND;
    struct words_block block = {.row = b->words.row * PAIR, .k = b->words.k * PAIR, .before = b->accumulate ? c : NULL, .before_row = b->c_row,
                                .ask_row = b->c_row};
    for (int k = 0; k < b->depth; k += KERNEL_ROUND) {
        const int last = b->depth - k <= KERNEL_ROUND;
        block.pairs = whole_pairs(last ? b->depth - k : KERNEL_ROUND);
        block.numbers = b->words.numbers + (k / PAIR * b->words.k + row * b->words.row) * PAIR;
        block.steps = b->words.steps + k / KERNEL_ROUND * b->words.steps_row + row;
        const int line = k / KERNEL_ROUND * lines / blocks, until = (k / KERNEL_ROUND + 1) * lines / blocks;
        block.ask = c + line * A_LINE;
        block.asked = (until < lines ? until : lines) - (line < lines ? line : lines);
        block.to = last ? c : sums;
        block.to_row = last ? b->c_row : KERNEL_PANEL;
        words_columns(b, &block, rows, k, 0, full, PRODUCT_ROWS);
        words_columns(b, &block, rows, k, full, rest, rest <= NARROW * LANES ? 2 * PRODUCT_ROWS : PRODUCT_ROWS);
        block.before = block.to;
        block.before_row = block.to_row;
    }
}

/* Rows of `words` by panels that round_panel made. */
static void product_words(const struct kernel_block *b)
{
    for (int row = 0; row < b->rows; row += WORDS_ROWS)
        words_rows(b, row, b->rows - row < WORDS_ROWS ? b->rows - row : WORDS_ROWS);
}
