/* The AVX2 set (with FMA and F16C): its table, the rounding of activations, and all that works on one row of numbers.
 */
#include "avx2.h"
#include "attention_body.h"
#include "rows_body.h"
#include "sets.h"
#include "strips.h"

/* --- activations to 8 bits --------------------------------------------------------------------------------------- */

size_t kernel_avx2_row_bytes(int cols)
{
    size_t blocks = ((size_t)cols + 31) / 32;
    return (sizeof(struct activation_row) + blocks * sizeof(struct activation_block) + 63) & ~(size_t)63;
}

size_t kernel_avx2_prepared_bytes(int cols)
{
    return 2 * kernel_avx2_row_bytes(cols);
}

/* The largest of 8 whole numbers. */
static int32_t most8(__m256i x)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

/* The bits of the largest magnitude in each lane of a block: an infinity is above every number, a NaN above that. */
static __m256i largest_bits(const float *x)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < 32; i += 8)
        most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), magnitude));
    return most;
}

static float float_of_bits(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int32_t sum4(__m128i x)
{
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}

/* block->q = x / step, rounded to nearest, and what follows from its sums. */
static void fill_block(struct activation_block *block, const float *x, float per_step, int steps)
{
    const __m256 scale = _mm256_set1_ps(per_step);
    __m256i four[4];
    for (int i = 0; i < 4; i++)
        four[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), scale));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(four[0], four[1]), _mm256_packs_epi32(four[2], four[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); /* undo packs' halves */
    _mm256_storeu_si256((__m256i *)(void *)block->q, bytes);
    __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
    const int first = sum4(_mm256_castsi256_si128(sums)), second = sum4(_mm256_extracti128_si256(sums, 1));
    block->steps_pair = steps | steps << 16;
    block->steps = (float)steps;
    block->sum = (float)steps * (float)(first + second);
    block->first = (float)steps * (float)first;
}

/* What is left of a block after it was rounded, of a step at most a half, times 254. */
static void rest_of_block(const float *x, float per_step, const int8_t *q, float *rest)
{
    for (int i = 0; i < 32; i++)
        rest[i] = (x[i] * per_step - (float)q[i]) * 254;
}

static void prepare(const float *x, int cols, int fine, void *prepared)
{
    struct activation_row *row = prepared, *low = (void *)((unsigned char *)prepared + kernel_avx2_row_bytes(cols));
    const int blocks = (cols + 31) / 32, full = cols / 32;
    float padded[32] = {0}; /* the last block where cols is not a multiple of 32, as may be with plain weights */
    memcpy(padded, x + 32 * full, (size_t)(cols - 32 * full) * sizeof *x);
    __m256i most = _mm256_setzero_si256();
    for (int b = 0; b < blocks; b++) {
        __m256i largest = largest_bits(b < full ? x + 32 * b : padded);
        row->blocks[b].steps_pair = most8(largest); /* until the unit is known */
        most = _mm256_max_epi32(most, largest);
    }
    const int32_t bits = most8(most);
    const float largest = float_of_bits(bits);
    /* Below 1e-30 the unit would leave the normal numbers, and so would any product with it: taken for zero. */
    if (bits >= 0x7f800000 || largest < 1e-30f) {
        row->unit = bits >= 0x7f800000 ? NAN : 0;
        memset(row->blocks, 0, (size_t)blocks * sizeof *row->blocks);
        if (fine)
            memcpy(low, row, kernel_avx2_row_bytes(cols));
        return;
    }
    row->unit = largest / (127.0f * MOST_STEPS);
    if (fine)
        low->unit = row->unit / 254;
    const float per_unit = 127.0f * MOST_STEPS / largest, steps_per = MOST_STEPS / largest;
    for (int b = 0; b < blocks; b++) {
        struct activation_block *block = &row->blocks[b];
        /* The least whole number of units for which the block's largest is at most 127 of them. */
        int steps = (int)ceilf(float_of_bits(block->steps_pair) * steps_per);
        steps = steps > MOST_STEPS ? MOST_STEPS : steps;
        const float *from = b < full ? x + 32 * b : padded, per_step = steps ? per_unit / (float)steps : 0;
        fill_block(block, from, per_step, steps);
        if (fine) {
            float rest[32];
            rest_of_block(from, per_step, block->q, rest);
            fill_block(&low->blocks[b], rest, 1, steps);
        }
    }
}

/* --- 8-bit products ---------------------------------------------------------------------------------------------- */

/* Groups of 4 as tile_unsigned has them: 8 maddubs, 7 additions in 16 bits, one widening, one addition in 32. The empty asm
 * keeps the compiler from computing them once. */
static double int8_products(void)
{
    enum { ROUNDS = 1000000, CHAINS = 2 };
    __m256i w = _mm256_set1_epi8(7), a = _mm256_set1_epi8(-3), total[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        total[c] = _mm256_setzero_si256();
    for (int round = 0; round < ROUNDS; round++)
        for (int c = 0; c < CHAINS; c++) {
            __m256i products = _mm256_setzero_si256();
            for (int j = 0; j < 8; j++) {
                __asm__ volatile("" : "+x"(w), "+x"(a));
                products = _mm256_add_epi16(products, _mm256_maddubs_epi16(w, a));
            }
            total[c] = _mm256_add_epi32(total[c], _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
        }
    __asm__ volatile("" ::"x"(_mm256_add_epi32(total[0], total[1])));
    return 32.0 * 8 * CHAINS * ROUNDS;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

const struct kernel_set kernel_set_avx2 = {
    .name = "avx2",
    .about = "AVX2, FMA, F16C: weights as they are, activations rounded to 8 bits, half-precision cache",
    .supported = kernel_machine_avx2,
    .cache = KERNEL_F16,
    .packed_bytes = kernel_avx2_packed_bytes,
    .pack = kernel_avx2_pack,
    .laid_out = kernel_strips_about,
    .prepared_bytes = kernel_avx2_prepared_bytes,
    .prepare = prepare,
    .matmul = kernel_avx2_matmul,
    .rms_norm = rms_norm,
    .rope = rope,
    .cache_bytes = cache_bytes,
    .store = store,
    .attention_rows = attention_rows,
    .attention_merge = attention_merge,
    .swiglu = swiglu,
    .geglu = geglu,
    .learning = &kernel_learning_avx2,
    .combine = combine,
    .int8_products = int8_products,
};
