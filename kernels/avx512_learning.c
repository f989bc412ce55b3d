/* Learning with AVX-512: see learning_body.h. */
#include "sets.h"
#include "vector_avx512.h"

#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 4
#define PRODUCT_WORDS
#include "learning_body.h"

const struct kernel_learning kernel_learning_avx512 = LEARNING;
