/* Learning with AVX2: see learning_body.h. */
#include "sets.h"
#include "vector_avx2.h"

#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 2
#define PRODUCT_WORDS
#include "learning_body.h"

const struct kernel_learning kernel_learning_avx2 = LEARNING;
