/* The last words of a broken invariant. */
#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>

void nu_assert_failed(const char *file, int line, const char *expr)
{
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expr);
    abort();
}
