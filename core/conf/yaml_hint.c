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

#define ROW(problem, at, context, words)                                                           \
    {                                                                                              \
        problem, at, context, words                                                                \
    }

/* The first row that fits counts. */
static const struct hint hints[] = {
    ROW("found character that cannot start any token", '\t', NULL,
        "a tab: YAML is indented with spaces"),
    ROW("found character that cannot start any token", '%', NULL,
        "a value that starts with % must be quoted"),
    ROW("found character that cannot start any token", '@', NULL,
        "a value that starts with @ must be quoted"),
    ROW("found character that cannot start any token", '`', NULL,
        "a value that starts with ` must be quoted"),
    ROW("found a tab character", 0, NULL, "a tab: YAML is indented with spaces"),
    ROW("mapping values are not allowed", 0, NULL,
        "a second \": \" in a value, or a key in the wrong column: " INDENT ", " QUOTE),
    ROW("block sequence entries are not allowed", FLOW, NULL,
        "a \"- \" inside [ ] or { }: is one not closed?"),
    ROW("block sequence entries are not allowed", 0, NULL,
        "a list's \"- \" must start a line of its own: " INDENT),
    ROW("block collection entries are not allowed", 0, NULL,
        "a list's \"- \" must start a line of its own: " INDENT),
    ROW("mapping keys are not allowed", 0, NULL, "a key cannot stand here: " INDENT),
    ROW("did not find expected key", 0, NULL,
        "no key here: keys of one map start in the same column; " INDENT ", " QUOTE),
    ROW("did not find expected '-'", 0, NULL,
        "no \"- \" here: items of one list start in the same column; " INDENT),
    ROW("did not find expected ',' or ']'", 0, NULL,
        "a list in [ ] is not closed, or lacks a comma: [a, b]"),
    ROW("did not find expected ',' or '}'", 0, NULL,
        "a map in { } is not closed, or lacks a comma: {a: 1, b: 2}"),
    ROW("could not find expected ':'", 0, NULL, "a key without \": \" behind it"),
    ROW("found unexpected end of stream", 0, "while scanning a quoted", "a quote is not closed"),
    ROW("found unexpected document indicator", 0, "while scanning a quoted",
        "a quote is not closed"),
    ROW("found unknown escape character", 0, NULL,
        "an unknown escape: write \\\\ for a backslash, or use 'single quotes'"),
    ROW("did not find expected alphabetic or numeric character", 0, "while scanning an alias",
        "a value that starts with * must be quoted: \"*.example.com\""),
    ROW("did not find expected alphabetic or numeric character", 0, "while scanning an anchor",
        "a value that starts with & must be quoted"),
    ROW("did not find expected <document start>", 0, NULL,
        "text behind the end of the config: " INDENT ", " QUOTE),
    ROW("did not find expected node content", 0, "while parsing a flow",
        "a value is missing here; an IPv6 address is quoted: \"[::1]:8080\""),
    ROW("found unknown directive name", 0, NULL, "a line that starts with % must be quoted"),
    ROW("could not find expected directive name", 0, NULL,
        "a line that starts with % must be quoted"),
    ROW("did not find expected comment or line break", 0, "while scanning a block scalar",
        "a value that starts with | or > must be quoted"),
    ROW("did not find expected node content", 0, NULL, "a value is missing here"),
    ROW("found undefined tag handle", 0, NULL, "a value that starts with ! must be quoted"),
    ROW("did not find expected hexdecimal number", 0, NULL,
        "an unfinished escape: \\x and two hexadecimal digits, \\u and four"),
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
