/* Markdown to mdoc: each kind of block, and that no text becomes a request. */
#include "tools/nuncio/mdoc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *markdown, *mdoc;
} rows[] = {
    {"",                                                                                     ""                                                },
    {"words\nmore words\n",                                                                  "words\nmore words\n"                             },
    {"One. Two? Three! 1.5 etc.",                                                            "One.\nTwo?\nThree!\n1.5 etc.\n"                  },
    {"a\n\nb\n",                                                                             "a\n.Pp\nb\n"                                     },
    {"# Title\n\na\n",                                                                       "a\n"                                             },
    {"## A word\n\na\n",                                                                     ".Sh \\&A WORD\na\n"                              },
    {"### No `x`\na\n",                                                                      ".Ss \\&No \\&`x`\na\n"                           },
    {".Sh x\n'x\na. .x\n",                                                                   "\\&.Sh x\n\\&'x\na.\n\\&.x\n"                    },
    {"`a-b` and **c**",                                                                      "\\fBa\\-b\\fR and \\fBc\\fR\n"                   },
    {"`*.b`. [the page](x.md) [1] a]",                                                       "\\fB*.b\\fR.\nthe page [1] a]\n"                 },
    {"`open",                                                                                "\\fBopen\\fR\n"                                  },
    {"a \\n b \\| c",                                                                        "a \\en b | c\n"                                  },
    {"- a\n  b\n- c\n\nd\n",                                                                 ".Bl -bullet\n.It\na\nb\n.It\nc\n.El\n.Pp\nd\n"   },
    {"    x `y`\n    .z\n",                                                                  ".Bd -literal -offset indent\nx `y`\n\\&.z\n.Ed\n"},
    {"```\n# x\n\ny\n```\n",                                                                 ".Bd -literal -offset indent\n# x\n\ny\n.Ed\n"    },
    {"| key | type | meaning |\n|---|---|---|\n| `a` | - | b. c |\n| `d` | e \\| f | - |\n",
     ".Bl -tag -width Ds\n.It \\fBa\\fR\nb.\nc\n.It \\fBd\\fR\n(type: e | f)\n.El\n"                                                           },
    {"||\n|\n| a\n",                                                                         ".Bl -tag -width Ds\n.El\n"                       },
};

static void each_kind_of_line(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        nu_mdoc_markdown(out, rows[i].markdown, strlen(rows[i].markdown));
        fclose(out);
        assert_string_equal(text, rows[i].mdoc);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_kind_of_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
