/* The AVX-512 set (with VNNI): its table, the rounding of activations, and all that works on one row of numbers. */
#include "avx512.h"
#include "attention_body.h"
#include "rows_body.h"
#include "sets.h"
#include "strips.h"

/* --- activations to 8 bits --------------------------------------------------------------------------------------- */

/* The block of numbers low, high. */
static void fill_block(struct activation_block *block, __m512 low, __m512 high, struct rounding r)
{
    const __m512 by = _mm512_set1_ps(r.per_step);
    __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, by)), b = _mm512_cvtps_epi32(_mm512_mul_ps(high, by));
    _mm_storeu_si128((__m128i *)(void *)block->q, _mm512_cvtsepi32_epi8(a));
    _mm_storeu_si128((__m128i *)(void *)(block->q + 16), _mm512_cvtsepi32_epi8(b));
    fill_sums(block, r.step, _mm512_reduce_add_epi32(a), _mm512_reduce_add_epi32(b));
}

static void prepare(const float *x, int cols, int fine, void *prepared)
{
    struct activation_block *block = prepared;
    struct activation_block *low_block = (void *)((unsigned char *)prepared + row_bytes(cols));
    for (int c = 0; c < cols; c += 32, block++, low_block++) {
        __m512 low = vec_load_first(x + c, cols - c), high = vec_load_first(x + c + 16, cols - c - 16);
        __m512i bits = _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(low)), _mm512_castps_si512(_mm512_abs_ps(high)));
        const struct rounding r = rounding_of((uint32_t)_mm512_reduce_max_epi32(bits));
        if (!isfinite(r.step))
            low = high = vec_all(0);
        fill_block(block, low, high, r);
        if (fine) {
            __m512 q_low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((__m128i *)(void *)block->q)));
            __m512 q_high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((__m128i *)(void *)(block->q + 16))));
            __m512 by = vec_all(r.per_step);
            fill_block(low_block, _mm512_fmsub_ps(low, by, q_low), _mm512_fmsub_ps(high, by, q_high), rounding_of_rest(r));
        }
    }
}

/* --- 8-bit products ---------------------------------------------------------------------------------------------- */

/* The empty asm keeps the compiler from computing them once. */
static double int8_products(void)
{
    enum { ROUNDS = 1000000, CHAINS = 16 };
    __m512i w = _mm512_set1_epi8(7), a = _mm512_set1_epi8(-3), total[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        total[c] = _mm512_setzero_si512();
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL for (int c = 0; c < CHAINS; c++)
            total[c] = _mm512_dpbusd_epi32(total[c], w, a);
        __asm__ volatile("" : "+v"(w), "+v"(a));
    }
    for (int c = 1; c < CHAINS; c++)
        total[0] = _mm512_add_epi32(total[0], total[c]);
    __asm__ volatile("" ::"v"(total[0]));
    return 64.0 * CHAINS * ROUNDS;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

const struct kernel_set kernel_set_avx512 = {
    .name = "avx512",
    .about = "AVX-512 with VNNI: weights as they are, activations rounded to 8 bits, half-precision cache",
    .supported = kernel_machine_avx512,
    .cache = KERNEL_F16,
    .packed_bytes = kernel_avx512_packed_bytes,
    .pack = kernel_avx512_pack,
    .laid_out = kernel_strips_about,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .matmul = kernel_avx512_matmul,
    .rms_norm = rms_norm,
    .rope = rope,
    .cache_bytes = cache_bytes,
    .store = store,
    .attention_rows = attention_rows,
    .attention_merge = attention_merge,
    .swiglu = swiglu,
    .geglu = geglu,
    .learning = &kernel_learning_avx512,
    .combine = combine,
    .int8_products = int8_products,
};
