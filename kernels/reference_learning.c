/* Learning in plain C: see learning_body.h. */
#include "sets.h"
#include "vector_plain.h"

#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 4
#include "learning_body.h"

const struct kernel_learning kernel_learning_reference = LEARNING;
