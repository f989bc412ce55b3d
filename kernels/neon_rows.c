/* The NEON set (with the dot product of Armv8.2): its table, the rounding of activations, and all that works on one row
 * of numbers. */
#include "neon.h"
#include "attention_body.h"
#include "rows_body.h"
#include "sets.h"
#include "strips.h"

/* --- activations to 8 bits --------------------------------------------------------------------------------------- */

/* The block of the numbers x. */
static void fill_block(struct activation_block *block, const vec x[8], struct rounding r)
{
    int16x8_t halves[4];
    for (int i = 0; i < 4; i++) {
        int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(x[2 * i], r.per_step));
        int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(x[2 * i + 1], r.per_step));
        halves[i] = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    }
    vst1q_s8(block->q, vcombine_s8(vqmovn_s16(halves[0]), vqmovn_s16(halves[1])));
    vst1q_s8(block->q + 16, vcombine_s8(vqmovn_s16(halves[2]), vqmovn_s16(halves[3])));
    fill_sums(block, r.step, vaddvq_s16(vaddq_s16(halves[0], halves[1])), vaddvq_s16(vaddq_s16(halves[2], halves[3])));
}

static vec load_bytes(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
}

/* What is left of the numbers x after they were rounded, of a step at most a half. */
static void rest_of_block(const vec x[8], float per_step, const int8_t *q, vec rest[8])
{
    for (int i = 0; i < 8; i++)
        rest[i] = vfmaq_f32(vnegq_f32(load_bytes(q + 4 * i)), x[i], vdupq_n_f32(per_step));
}

static void prepare(const float *x, int cols, int fine, void *prepared)
{
    struct activation_block *block = prepared;
    struct activation_block *low = (void *)((unsigned char *)prepared + row_bytes(cols));
    for (int c = 0; c < cols; c += 32, block++, low++) {
        vec all[8], rest[8];
        uint32x4_t bits = vdupq_n_u32(0);
        for (int i = 0; i < 8; i++) {
            all[i] = vec_load_first(x + c + 4 * i, cols - c - 4 * i);
            bits = vmaxq_u32(bits, vreinterpretq_u32_f32(vabsq_f32(all[i])));
        }
        const struct rounding r = rounding_of(vmaxvq_u32(bits));
        for (int i = 0; i < 8 && !isfinite(r.step); i++)
            all[i] = vec_all(0);
        fill_block(block, all, r);
        if (fine) {
            rest_of_block(all, r.per_step, block->q, rest);
            fill_block(low, rest, rounding_of_rest(r));
        }
    }
}

/* --- 8-bit products ---------------------------------------------------------------------------------------------- */

/* The empty asm keeps the compiler from computing them once. */
static double int8_products(void)
{
    enum { ROUNDS = 1000000, CHAINS = 16 };
    int8x16_t w = vdupq_n_s8(7), a = vdupq_n_s8(-3);
    int32x4_t total[CHAINS];
    for (int c = 0; c < CHAINS; c++)
        total[c] = vdupq_n_s32(0);
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL for (int c = 0; c < CHAINS; c++) total[c] = vdotq_laneq_s32(total[c], w, a, 0);
        __asm__ volatile("" : "+w"(w), "+w"(a));
    }
    for (int c = 1; c < CHAINS; c++)
        total[0] = vaddq_s32(total[0], total[c]);
    __asm__ volatile("" ::"w"(total[0]));
    return 16.0 * CHAINS * ROUNDS;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

const struct kernel_set kernel_set_neon = {
    .name = "neon",
    .about = "NEON with dot products: weights as they are, activations rounded to 8 bits, half-precision cache",
    .supported = kernel_machine_neon,
    .cache = KERNEL_F16,
    .packed_bytes = kernel_neon_packed_bytes,
    .pack = kernel_neon_pack,
    .laid_out = kernel_strips_about,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .matmul = kernel_neon_matmul,
    .rms_norm = rms_norm,
    .rope = rope,
    .cache_bytes = cache_bytes,
    .store = store,
    .attention_rows = attention_rows,
    .attention_merge = attention_merge,
    .swiglu = swiglu,
    .geglu = geglu,
    .learning = &kernel_learning_neon,
    .combine = combine,
    .int8_products = int8_products,
};
