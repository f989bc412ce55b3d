/* Learning with NEON: see learning_body.h. */
#include "sets.h"
#include "vector_neon.h"

#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 4
#include "learning_body.h"

const struct kernel_learning kernel_learning_neon = LEARNING;
