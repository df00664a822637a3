/* What libyaml says, in words for somebody who has never read the YAML specification. */
#include "core/conf/conf_priv.h"

#include <string.h>

struct hint {
    const char *problem; /* libyaml's, or its start */
    char at;             /* the character it stumbled over, 0 = any; FLOW: inside [ ] or { } */
    const char *context; /* libyaml's, or its start; NULL = any */
    const char *words;
};

#define FLOW   1
#define INDENT "check the indentation"
#define QUOTE  "or quote a value that has : # [ ] { } & * in it"

/* The first row that fits counts. */
static const struct hint hints[] = {
    {"found character that cannot start any token",           '\t', NULL,
     "a tab: YAML is indented with spaces"                                                                                                      },
    {"found character that cannot start any token",           '%',  NULL,
     "a value that starts with % must be quoted"                                                                                                },
    {"found character that cannot start any token",           '@',  NULL,
     "a value that starts with @ must be quoted"                                                                                                },
    {"found character that cannot start any token",           '`',  NULL,
     "a value that starts with ` must be quoted"                                                                                                },
    {"found a tab character",                                 0,    NULL,                            "a tab: YAML is indented with spaces"      },
    {"mapping values are not allowed",                        0,    NULL,
     "a second \": \" in a value, or a key in the wrong column: " INDENT ", " QUOTE                                                             },
    {"block sequence entries are not allowed",                0,    NULL,
     "a list's \"- \" must start a line of its own: " INDENT                                                                                    },
    {"block collection entries are not allowed",              0,    NULL,
     "a list's \"- \" must start a line of its own: " INDENT                                                                                    },
    {"mapping keys are not allowed",                          0,    NULL,                            "a key cannot stand here: " INDENT         },
    {"did not find expected key",                             0,    NULL,
     "no key here: keys of one map start in the same column; " INDENT ", " QUOTE                                                                },
    {"did not find expected '-'",                             0,    NULL,
     "no \"- \" here: items of one list start in the same column; " INDENT                                                                      },
    {"did not find expected ',' or ']'",                      0,    NULL,
     "a list in [ ] is not closed, or lacks a comma: [a, b]"                                                                                    },
    {"did not find expected ',' or '}'",                      0,    NULL,
     "a map in { } is not closed, or lacks a comma: {a: 1, b: 2}"                                                                               },
    {"could not find expected ':'",                           0,    NULL,                            "a key without \": \" behind it"           },
    {"found unexpected end of stream",                        0,    "while scanning a quoted",       "a quote is not closed"                    },
    {"found unexpected document indicator",                   0,    "while scanning a quoted",       "a quote is not closed"                    },
    {"found unknown escape character",                        0,    NULL,
     "an unknown escape: write \\\\ for a backslash, or use 'single quotes'"                                                                    },
    {"did not find expected alphabetic or numeric character", 0,    "while scanning an alias",
     "a value that starts with * must be quoted: \"*.example.com\""                                                                             },
    {"did not find expected alphabetic or numeric character", 0,    "while scanning an anchor",
     "a value that starts with & must be quoted"                                                                                                },
    {"did not find expected <document start>",                0,    NULL,
     "text behind the end of the config: " INDENT ", " QUOTE                                                                                    },
    {"did not find expected node content",                    0,    "while parsing a flow",
     "a value is missing here; an IPv6 address is quoted: \"[::1]:8080\""                                                                       },
    {"found unknown directive name",                          0,    NULL,                            "a line that starts with % must be quoted" },
    {"could not find expected directive name",                0,    NULL,                            "a line that starts with % must be quoted" },
    {"did not find expected comment or line break",           0,    "while scanning a block scalar",
     "a value that starts with | or > must be quoted"                                                                                           },
    {"did not find expected node content",                    0,    NULL,                            "a value is missing here"                  },
    {"found undefined tag handle",                            0,    NULL,                            "a value that starts with ! must be quoted"},
    {"did not find expected hexdecimal number",               0,    NULL,
     "an unfinished escape: \\x and two hexadecimal digits, \\u and four"                                                                       },
};

static bool starts(const char *text, const char *start)
{
    return !start || (text && strncmp(text, start, strlen(start)) == 0);
}

const char *nu_yaml_hint(const char *problem, const char *context, char at, bool in_flow)
{
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        const struct hint *h = &hints[i];
        bool fits = h->at == 0 || (h->at == FLOW ? in_flow : h->at == at);
        if (fits && starts(problem, h->problem) && starts(context, h->context))
            return h->words;
    }
    return problem ? problem : "not valid YAML";
}
