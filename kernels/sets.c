/* Which sets are built, which of them this machine runs, and which is taken. */
#include "sets.h"
#include "formats.h"

#include <stdlib.h>
#include <string.h>

#ifdef KERNELS_X86
#include <cpuid.h>

int kernel_machine_avx2(void)
{
    unsigned a, b, c, d; /* not every compiler's builtin knows the name f16c: bit 29 of leaf 1 */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

int kernel_machine_avx512(void)
{
    return kernel_machine_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef KERNELS_NEON
#include <sys/auxv.h>

int kernel_machine_neon(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
#endif

const struct kernel_set *const *kernel_sets(void)
{
    static const struct kernel_set *const sets[] = {
#ifdef KERNELS_X86
        &kernel_set_avx512,
        &kernel_set_avx2,
#endif
#ifdef KERNELS_NEON
        &kernel_set_neon,
#endif
        &kernel_set_reference,
        NULL,
    };
    return sets;
}

int kernel_set_find(const char *name, const struct kernel_set **set, struct error *e)
{
    int any = strcmp(name, "auto") == 0;
    struct string built = {0};
    for (const struct kernel_set *const *s = kernel_sets(); *s; s++) {
        int runs = (*s)->supported();
        if (runs && (any || strcmp(name, (*s)->name) == 0)) {
            *set = *s;
            string_free(&built);
            return OK;
        }
        string_addf(&built, "%s%s%s", built.length ? ", " : "", (*s)->name, runs ? "" : " (not on this machine)");
    }
    int code =
        error_set(e, ERROR_INPUT, "kernels %s: no such set runs here; there are auto, %s", name, string_text(&built));
    string_free(&built);
    return code;
}

void kernel_matrix_drop_nf4(struct kernel_matrix *m)
{
    kernel_nf4_free(m->nf4);
    m->nf4 = NULL;
}

void kernel_matrix_free(struct kernel_matrix *m)
{
    if (!m->lent)
        free(m->packed);
    kernel_matrix_drop_nf4(m);
    m->packed = NULL;
    m->packed_bytes = 0;
    m->lent = 0;
}
