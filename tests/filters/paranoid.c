/* Expands a chain's places with test filters; see paranoid.h. */
#include "tests/filters/paranoid.h"

#include "core/assert.h"
#include "tests/filters/filters.h"

static bool binds(enum nu_face face)
{
    return face != NU_SAME && face != NU_FACE_NONE;
}

/* What is spoken between place i and the next: the nearest word from the left, else from the right.
 */
static enum nu_face between(const struct nu_place *places, unsigned count, unsigned i)
{
    for (unsigned k = i + 1; k-- > 0;)
        if (places[k].type->face[1] != NU_SAME) {
            if (binds((enum nu_face)places[k].type->face[1]))
                return (enum nu_face)places[k].type->face[1];
            break;
        }
    for (unsigned k = i + 1; k < count; k++)
        if (places[k].type->face[0] != NU_SAME)
            return (enum nu_face)places[k].type->face[0];
    return NU_FACE_NONE;
}

unsigned nu_paranoid_expand(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    nu_assert(count <= NU_CHAIN_MAX_FILTERS);
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        out[n++] = places[i];
        unsigned rest = count - i - 1;
        if (rest == 0 || n + 2 + rest > NU_CHAIN_MAX_FILTERS)
            continue;
        if (between(places, count, i) == NU_FACE_BYTES) {
            out[n++] = (struct nu_place){&nu_pedant, NULL};
            out[n++] = (struct nu_place){&nu_shred, NULL};
        }
    }
    return n;
}

void nu_paranoid_install(void)
{
    nu_chain_set_expander(nu_paranoid_expand);
}
