/* Patterns for names in certificates: what is one, and what it stands for. */
#include "tls/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define D TLS_NAME_DNS
#define U TLS_NAME_URI
#define E TLS_NAME_EMAIL

static const struct {
    enum tls_name_kind kind;
    bool good;
    const char *pattern;
} patterns[] = {
    {D, true,  "a.test"              },
    {D, true,  "a"                   },
    {D, true,  "*.svc"               },
    {D, true,  "*.a-b._x.test"       },
    {D, false, ""                    },
    {D, false, "*"                   },
    {D, false, "*."                  },
    {D, false, "a.*"                 },
    {D, false, "a*.test"             },
    {D, false, "*.*.test"            },
    {D, false, "a..test"             },
    {D, false, "a.test."             },
    {D, false, "a test"              },
    {D, false, "a.test:443"          },
    {U, true,  "spiffe://mesh/web"   },
    {U, true,  "spiffe://mesh/ns/*/w"},
    {U, true,  "spiffe://mesh/*"     },
    {U, true,  "https://a/*/b/*"     },
    {U, true,  "urn:uuid:1"          },
    {U, false, "mesh/web"            },
    {U, false, "://mesh/web"         },
    {U, false, "1a://mesh/web"       },
    {U, false, "spiffe://*/web"      },
    {U, false, "spiffe://mesh*"      },
    {U, false, "spiffe://mesh/we*"   },
    {U, false, "spiffe:*"            },
    {U, false, "*://mesh/web"        },
    {U, false, "spiffe://mesh/a b"   },
    {E, true,  "me@a.test"           },
    {E, true,  "*@a.test"            },
    {E, false, "a.test"              },
    {E, false, "*@*.test"            },
    {E, false, "@a.test"             },
    {E, false, "m*@a.test"           },
    {E, false, "a@b@a.test"          },
};

static void what_is_a_pattern(void **state)
{
    const char *why;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (tls_pattern_check(patterns[i].kind, patterns[i].pattern, &why) != patterns[i].good)
            fail_msg("\"%s\": %s", patterns[i].pattern, why);
}

static const struct {
    enum tls_name_kind kind;
    bool match;
    const char *pattern, *name;
} pairs[] = {
    {D, true,  "a.test",                    "a.test"                       },
    {D, true,  "A.test",                    "a.TEST"                       },
    {D, false, "a.test",                    "b.test"                       },
    {D, false, "a.test",                    "a.test."                      },
    {D, false, "a.test",                    "xa.test"                      },
    {D, true,  "*.svc",                     "web.svc"                      },
    {D, true,  "*.svc",                     "WEB.SVC"                      },
    {D, false, "*.svc",                     "a.b.svc"                      },
    {D, false, "*.svc",                     "svc"                          },
    {D, false, "*.svc",                     ".svc"                         },
    {D, false, "*.svc",                     "*.svc"                        },
    {D, false, "*.svc",                     "web.svc.evil"                 },
    {D, false, "*.svc",                     "we b.svc"                     },
    {U, true,  "spiffe://mesh/web",         "spiffe://mesh/web"            },
    {U, false, "spiffe://mesh/web",         "spiffe://MESH/web"            },
    {U, false, "spiffe://mesh/web",         "spiffe://mesh/web/"           },
    {U, false, "spiffe://mesh/web",         "spiffe://mesh/web2"           },
    {U, true,  "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns/blue/sa/web" },
    {U, false, "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns/a/b/sa/web"  },
    {U, false, "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns//sa/web"     },
    {U, false, "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns/../sa/web"   },
    {U, false, "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns/*/sa/web"    },
    {U, false, "spiffe://mesh/ns/*/sa/web", "spiffe://mesh/ns/%2e/sa/web"  },
    {U, true,  "spiffe://mesh/*",           "spiffe://mesh/a"              },
    {U, true,  "spiffe://mesh/*",           "spiffe://mesh/a/b.c/d"        },
    {U, false, "spiffe://mesh/*",           "spiffe://mesh"                },
    {U, false, "spiffe://mesh/*",           "spiffe://mesh/"               },
    {U, false, "spiffe://mesh/*",           "spiffe://mesh/a/"             },
    {U, false, "spiffe://mesh/*",           "spiffe://mesh/a/../../other/x"},
    {U, false, "spiffe://mesh/*",           "spiffe://mesh/a?b"            },
    {U, false, "spiffe://mesh/*",           "spiffe://mesh/a#b"            },
    {U, false, "spiffe://mesh/*",           "spiffe://meshy/a"             },
    {U, false, "spiffe://mesh/a/*/c",       "spiffe://mesh/a/b"            },
    {E, true,  "me@a.test",                 "me@A.TEST"                    },
    {E, false, "me@a.test",                 "ME@a.test"                    },
    {E, true,  "*@a.test",                  "you@a.test"                   },
    {E, false, "*@a.test",                  "you@b.a.test"                 },
    {E, false, "*@a.test",                  "you@evil@a.test"              },
    {E, false, "*@a.test",                  "@a.test"                      },
    {E, false, "*@a.test",                  "*@a.test"                     },
};

static void what_it_stands_for(void **state)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (tls_pattern_matches(pairs[i].kind, pairs[i].pattern, pairs[i].name,
                                strlen(pairs[i].name)) != pairs[i].match)
            fail_msg("\"%s\" and \"%s\"", pairs[i].pattern, pairs[i].name);
}

/* A NUL in a name ends nothing. */
static void bytes_that_end_no_name(void **state)
{
    assert_false(tls_pattern_matches(D, "a.test", "a.test\0.evil", 12));
    assert_false(tls_pattern_matches(D, "*.svc", "a\0b.svc", 7));
    assert_false(tls_pattern_matches(U, "spiffe://mesh/*", "spiffe://mesh/a\0b", 17));
    assert_false(tls_pattern_matches(U, "spiffe://mesh/a", "spiffe://mesh/a\0", 16));
    assert_false(tls_pattern_matches(E, "*@a.test", "a\0b@a.test", 10));
    assert_false(tls_pattern_matches(D, "a.test", "", 0));
    assert_string_equal(tls_name_kind_str(E), "email");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_pattern),
        cmocka_unit_test(what_it_stands_for),
        cmocka_unit_test(bytes_that_end_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
