/* The tables of this build, for sets.c alone to list. A new kind of machine is one table here, one line in sets.c. */
#ifndef ESPALIER_SETS_H
#define ESPALIER_SETS_H

#include "kernels.h"

extern const struct kernel_set kernel_set_reference;
extern const struct kernel_learning kernel_learning_reference;
/* A build without flags for instruction sets, as the fuzzers' is, defines KERNELS_REFERENCE_ONLY. */
#if defined __x86_64__ && !defined KERNELS_REFERENCE_ONLY
#define KERNELS_X86
extern const struct kernel_set kernel_set_avx512;
extern const struct kernel_set kernel_set_avx2;
extern const struct kernel_learning kernel_learning_avx512, kernel_learning_avx2;
/* Not in the sets' own files: a file compiled for AVX2 may hold AVX2 anywhere, also in the question. */
int kernel_machine_avx512(void);
int kernel_machine_avx2(void);
#endif
#if defined __AARCH64EL__ && !defined KERNELS_REFERENCE_ONLY
#define KERNELS_NEON
extern const struct kernel_set kernel_set_neon;
extern const struct kernel_learning kernel_learning_neon;
int kernel_machine_neon(void);
#endif

#endif
