/* Numbers of conditions with their units: 404, 1.5s, 64KiB; see where.h. */
#include "core/where.h"

#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit time_units[] = {
    {"ns", 1     },
    {"us", 1e3   },
    {"ms", 1e6   },
    {"s",  1e9   },
    {"m",  60e9  },
    {"h",  3600e9},
    {NULL, 0     }
};
static const struct unit size_units[] = {
    {"",    1      },
    {"B",   1      },
    {"k",   1e3    },
    {"M",   1e6    },
    {"G",   1e9    },
    {"KiB", 1024   },
    {"MiB", 1 << 20},
    {"GiB", 1 << 30},
    {NULL,  0      }
};
static const struct unit no_units[] = {
    {"",   1},
    {NULL, 0}
};

bool nu_where_number(struct nu_text word, enum nu_where_type type, int64_t *out)
{
    const struct unit *units = type == NU_WHERE_TIME    ? time_units
                               : type == NU_WHERE_BYTES ? size_units
                                                        : no_units;
    char text[32], *end;
    if (word.len >= sizeof text)
        return false;
    memcpy(text, word.at, word.len);
    text[word.len] = 0;
    double n = strtod(text, &end);
    for (; units->name; units++)
        if (strcmp(end, units->name) == 0 && n * units->factor < 9e18) {
            *out = (int64_t)(n * units->factor);
            return end > text && (units->factor != 1 || (double)*out == n);
        }
    return false;
}
