/* Numbers with a unit: durations in milliseconds, sizes in bytes; reading, guessing what was meant,
 * and the canonical form. */
#include "core/conf/conf_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECOND 1000ll
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Largest first, the base unit last; the canonical form takes the first that divides. */
const struct nu_unit nu_duration_units[] = {
    {"d",  DAY   },
    {"h",  HOUR  },
    {"m",  MINUTE},
    {"s",  SECOND},
    {"ms", 1     },
    {NULL, 0     }
};

const struct nu_unit nu_size_units[] = {
    {"TiB", 1ll << 40    },
    {"GiB", 1ll << 30    },
    {"MiB", 1ll << 20    },
    {"KiB", 1ll << 10    },
    {"TB",  1000000000000},
    {"GB",  1000000000   },
    {"MB",  1000000      },
    {"kB",  1000         },
    {"B",   1            },
    {"",    1            },
    {NULL,  0            }
};

/* What people write: the right unit is the next one that the table at hand has. */
static const struct {
    const char *wrong, *right;
} slips[] = {
    {"msec",    "ms" },
    {"msecs",   "ms" },
    {"millis",  "ms" },
    {"sec",     "s"  },
    {"secs",    "s"  },
    {"second",  "s"  },
    {"seconds", "s"  },
    {"min",     "m"  },
    {"mins",    "m"  },
    {"minute",  "m"  },
    {"minutes", "m"  },
    {"hr",      "h"  },
    {"hrs",     "h"  },
    {"hour",    "h"  },
    {"hours",   "h"  },
    {"day",     "d"  },
    {"days",    "d"  },
    {"k",       "KiB"},
    {"ki",      "KiB"},
    {"m",       "MiB"},
    {"mi",      "MiB"},
    {"g",       "GiB"},
    {"gi",      "GiB"},
    {"t",       "TiB"},
    {"bytes",   "B"  },
};

/* Digits and an optional fraction; `fraction` in billionths. Returns what follows, NULL: no number;
 * *err: one that cannot be had. */
static const char *number(const char *s, int64_t *whole, int64_t *fraction, enum nu_err *err)
{
    *whole = *fraction = 0;
    *err = NU_OK;
    if (!isdigit((unsigned char)*s))
        return NULL;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, *s - '0', whole))
            *err = NU_ERR_LIMIT;
    if (*s != '.')
        return s;
    if (!isdigit((unsigned char)*++s))
        return NULL;
    for (int64_t place = 100000000; isdigit((unsigned char)*s); s++, place /= 10) {
        if (place == 0 && *s != '0')
            *err = NU_ERR_SYNTAX; /* finer than any unit's parts */
        *fraction += (*s - '0') * place;
    }
    return s;
}

/* n.fraction times scale; parts of the base unit are refused. */
static enum nu_err times(int64_t whole, int64_t fraction, int64_t scale, int64_t *out)
{
    __int128 billionths = ((__int128)whole * 1000000000 + fraction) * scale;
    if (billionths % 1000000000 != 0)
        return NU_ERR_SYNTAX;
    if (billionths / 1000000000 > INT64_MAX)
        return NU_ERR_LIMIT;
    *out = (int64_t)(billionths / 1000000000);
    return NU_OK;
}

enum nu_err nu_unit_parse(const char *text, const struct nu_unit *units, int64_t *out)
{
    int64_t whole, fraction;
    enum nu_err err;
    *out = 0;
    const char *unit = number(text, &whole, &fraction, &err);
    if (!unit)
        return NU_ERR_SYNTAX;
    for (const struct nu_unit *u = units; u->name; u++)
        if (strcmp(unit, u->name) == 0)
            return err ? err : times(whole, fraction, u->scale, out);
    return *unit == 0 && whole == 0 && fraction == 0 ? NU_OK : NU_ERR_MISSING;
}

static const char *find_unit(const char *text, const struct nu_unit *units, bool exact)
{
    for (const struct nu_unit *u = units; u->name; u++)
        if ((exact ? strcmp : strcasecmp)(text, u->name) == 0)
            return u->name;
    return NULL;
}

const char *nu_unit_guess(const char *text, const struct nu_unit *units, char buf[static 32])
{
    int64_t whole, fraction;
    enum nu_err err;
    const char *unit = number(text, &whole, &fraction, &err);
    if (!unit || unit - text > 20)
        return NULL;
    int digits = (int)(unit - text);
    unit += strspn(unit, " ");
    const char *right = *unit ? find_unit(unit, units, false) : NULL;
    for (size_t i = 0; !right && i < sizeof slips / sizeof *slips; i++)
        if (strcasecmp(unit, slips[i].wrong) == 0)
            right = find_unit(slips[i].right, units, true);
    if (!right)
        return NULL;
    snprintf(buf, 32, "%.*s%s", digits, text, right);
    return buf;
}

/* The largest unit of the table that divides; for sizes only the binary ones read well. */
static const char *canonical(int64_t n, const struct nu_unit *units, char buf[static 32])
{
    const struct nu_unit *u = units;
    while (u->scale != 1 && (n % u->scale != 0 || (n != 0 && n < u->scale)))
        u++;
    snprintf(buf, 32, "%lld%s", (long long)(n / u->scale), u->name);
    return buf;
}

const char *nu_duration_str(int64_t ms, char buf[static 32])
{
    return ms == 0 ? strcpy(buf, "0") : canonical(ms, nu_duration_units, buf);
}

const char *nu_size_str(int64_t bytes, char buf[static 32])
{
    static const struct nu_unit units[] = {
        {"TiB", 1ll << 40},
        {"GiB", 1ll << 30},
        {"MiB", 1ll << 20},
        {"KiB", 1ll << 10},
        {"MB",  1000000  },
        {"kB",  1000     },
        {"",    1        }
    };
    return bytes == 0 ? strcpy(buf, "0") : canonical(bytes, units, buf);
}
