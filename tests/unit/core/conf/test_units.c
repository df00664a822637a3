/* Numbers with units: exact, bounded, canonical, and what was meant. */
#include "core/conf/conf_priv.h"
#include "tests/unit/core/conf/conf_help.h"

struct row {
    const char *text;
    enum nu_err err;
    int64_t value;
};

static void check(const struct nu_unit *units, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -1;
        enum nu_err err = nu_unit_parse(rows[i].text, units, &value);
        if (err != rows[i].err || value != rows[i].value)
            fail_msg("%s: %s, %lld", rows[i].text, nu_err_str(err), (long long)value);
    }
}

static void durations_are_milliseconds(void **state)
{
    static const struct row rows[] = {
        {"250ms",                       NU_OK,          250                    },
        {"15s",                         NU_OK,          15000                  },
        {"5m",                          NU_OK,          300000                 },
        {"1h",                          NU_OK,          3600000                },
        {"1d",                          NU_OK,          86400000               },
        {"0",                           NU_OK,          0                      },
        {"0s",                          NU_OK,          0                      },
        {"0.0",                         NU_OK,          0                      },
        {"1.5s",                        NU_OK,          1500                   },
        {"0.25h",                       NU_OK,          900000                 },
        {"0.5000000000s",               NU_OK,          500                    },
        {"106751991167d",               NU_OK,          106751991167 * 86400000},
        {"0.5ms",                       NU_ERR_SYNTAX,  0                      },
        {"0.0000000001s",               NU_ERR_SYNTAX,  0                      },
        {"1.s",                         NU_ERR_SYNTAX,  0                      },
        {".5s",                         NU_ERR_SYNTAX,  0                      },
        {"-1s",                         NU_ERR_SYNTAX,  0                      },
        {"+1s",                         NU_ERR_SYNTAX,  0                      },
        {"",                            NU_ERR_SYNTAX,  0                      },
        {"s",                           NU_ERR_SYNTAX,  0                      },
        {"15",                          NU_ERR_MISSING, 0                      },
        {"0.5",                         NU_ERR_MISSING, 0                      },
        {"15S",                         NU_ERR_MISSING, 0                      },
        {"15 s",                        NU_ERR_MISSING, 0                      },
        {"1h30m",                       NU_ERR_MISSING, 0                      },
        {"106751991168d",               NU_ERR_LIMIT,   0                      },
        {"9223372036854775808ms",       NU_ERR_LIMIT,   0                      },
        {"99999999999999999999999999h", NU_ERR_LIMIT,   0                      },
    };
    check(nu_duration_units, rows, sizeof rows / sizeof *rows);
}

static void sizes_are_bytes(void **state)
{
    static const struct row rows[] = {
        {"512",                 NU_OK,          512          },
        {"512B",                NU_OK,          512          },
        {"64KiB",               NU_OK,          65536        },
        {"1.5MiB",              NU_OK,          1572864      },
        {"1GiB",                NU_OK,          1073741824   },
        {"2TiB",                NU_OK,          2199023255552},
        {"1kB",                 NU_OK,          1000         },
        {"1MB",                 NU_OK,          1000000      },
        {"1GB",                 NU_OK,          1000000000   },
        {"1TB",                 NU_OK,          1000000000000},
        {"9223372036854775807", NU_OK,          INT64_MAX    },
        {"9223372036854775808", NU_ERR_LIMIT,   0            },
        {"8388608TiB",          NU_ERR_LIMIT,   0            },
        {"1.5",                 NU_ERR_SYNTAX,  0            },
        {"0.3KiB",              NU_ERR_SYNTAX,  0            },
        {"64K",                 NU_ERR_MISSING, 0            },
        {"64kib",               NU_ERR_MISSING, 0            },
        {"10%",                 NU_ERR_MISSING, 0            },
    };
    check(nu_size_units, rows, sizeof rows / sizeof *rows);
}

static void what_was_meant(void **state)
{
    static const struct {
        const char *text, *duration, *size;
    } rows[] = {
        {"15 sec",                 "15s",  NULL   },
        {"15 s",                   "15s",  NULL   },
        {"2Minutes",               "2m",   NULL   },
        {"1.5 hr",                 "1.5h", NULL   },
        {"10S",                    "10s",  NULL   },
        {"5MS",                    "5ms",  NULL   },
        {"64K",                    NULL,   "64KiB"},
        {"64kb",                   NULL,   "64kB" },
        {"1 mib",                  NULL,   "1MiB" },
        {"1g",                     NULL,   "1GiB" },
        {"9 bytes",                NULL,   "9B"   },
        {"15",                     NULL,   NULL   },
        {"fast",                   NULL,   NULL   },
        {"1parsec",                NULL,   NULL   },
        {"111111111111111111111s", NULL,   NULL   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[32];
        const char *want[] = {rows[i].duration, rows[i].size};
        const struct nu_unit *units[] = {nu_duration_units, nu_size_units};
        for (int k = 0; k < 2; k++) {
            const char *got = nu_unit_guess(rows[i].text, units[k], buf);
            if (want[k])
                assert_string_equal(got, want[k]);
            else if (k == (rows[i].size != NULL))
                assert_null(got);
        }
    }
}

static void canonical_forms_read_back(void **state)
{
    static const struct {
        int64_t n;
        const char *duration, *size;
    } rows[] = {
        {0,         "0",                     "0"                  },
        {1,         "1ms",                   "1"                  },
        {1000,      "1s",                    "1kB"                },
        {1500,      "1500ms",                "1500"               },
        {90000,     "90s",                   "90kB"               },
        {3600000,   "1h",                    "3600kB"             },
        {86400000,  "1d",                    "84375KiB"           },
        {65536,     "65536ms",               "64KiB"              },
        {1000000,   "1000s",                 "1MB"                },
        {INT64_MAX, "9223372036854775807ms", "9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[32];
        int64_t back;
        assert_string_equal(nu_duration_str(rows[i].n, buf), rows[i].duration);
        assert_int_equal(nu_unit_parse(buf, nu_duration_units, &back), NU_OK);
        assert_int_equal(back, rows[i].n);
        assert_string_equal(nu_size_str(rows[i].n, buf), rows[i].size);
        assert_int_equal(nu_unit_parse(buf, nu_size_units, &back), NU_OK);
        assert_int_equal(back, rows[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_milliseconds),
        cmocka_unit_test(sizes_are_bytes),
        cmocka_unit_test(what_was_meant),
        cmocka_unit_test(canonical_forms_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
