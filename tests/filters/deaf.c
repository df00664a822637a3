/* deaf: everything passes it by. Any face; sees nothing, stores nothing, never holds. */
#include "tests/filters/filters.h"

const struct nu_filter_type nu_deaf = {
    .name = "deaf",
    .doc = "Hears nothing.",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
};
