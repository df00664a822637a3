/* The reference page of a schema, as text and as Markdown. */
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/core/conf/sample.h"

typedef void write_fn(FILE *out);

static char *page(write_fn *write)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    write(out);
    fclose(out);
    return text;
}

static void limits_text(FILE *out)
{
    nu_schema_doc_text(&limits_schema, out);
}

static void sample_text(FILE *out)
{
    nu_schema_doc_text(&sample_schema, out);
}

static void sample_markdown(FILE *out)
{
    nu_schema_doc_markdown(&sample_schema, out, 5);
}

static void text_has_maps_below_each_other(void **state)
{
    char *text = page(limits_text);
    assert_string_equal(text, "limits\n"
                              "  How much.\n"
                              "\n"
                              "  pending                number; default 1024\n"
                              "                         Waiting ones.\n"
                              "  home                   map; default \"~\"\n"
                              "                         The first target.\n"
                              "\n"
                              "limits.home\n"
                              "  Where it goes.\n"
                              "  A bare value stands for \"name\".\n"
                              "\n"
                              "  name                   string; required\n"
                              "                         Its name.\n"
                              "  weight                 number, 1 to 100; default 1\n"
                              "                         Share of the whole.\n"
                              "\n");
    free(text);
}

static void types_say_their_bounds_and_choices(void **state)
{
    static const char *const lines[] = {
        "  on                     on / off; default yes\n",
        "  count                  number, 1 to 65535; default 7\n",
        "  wait                   duration, 0 to 1d; default 90s\n",
        "  size                   size, at least 512\n",
        "  mode                   off, require, optional; default optional\n",
        "  raw                    filters\n",
        "  letter                 letter\n",
        "  names                  list of string; default [a, b|c]\n",
        "  targets                list of map\n",
    };
    char *text = page(sample_text);
    for (size_t i = 0; i < 9; i++)
        if (!strstr(text, lines[i]))
            fail_msg("%s is not in %s", lines[i], text);
    assert_null(strstr(text, "tomorrow"));
    free(text);
}

static void markdown_has_tables_with_escaped_bars(void **state)
{
    char *text = page(sample_markdown);
    assert_ptr_equal(text, strstr(text, "##### sample\n\nOne of everything. It does nothing.\n\n"
                                        "| key | type | default | meaning |\n|---|---|---|---|\n"
                                        "| `on` | on / off | `yes` | Whether. |\n"));
    assert_non_null(strstr(text, "| `names` | list of string | `[a, b\\|c]` |  |\n"));
    assert_non_null(strstr(text, "| `name` | string | - |  |\n"));
    assert_non_null(strstr(text, "\n###### sample.limits\n\nHow much.\n"));
    assert_non_null(strstr(text, "| `name` | string | required | Its name. |\n"));
    assert_non_null(strstr(text, "\n###### sample.targets[]\n\nWhere it goes.\n\n"
                                 "A bare value stands for `name`.\n"));
    free(text);
}

/* A schema that contains itself, and an introduction longer than a line. */
static void cycles_end_and_long_words_wrap(void **state)
{
    static struct nu_field fields[] = {
        {.key = "again",   .type = NU_OBJECT, .flags = NU_PTR},
        {0}
    };
    static const struct nu_schema loop = {
        .name = "loop",
        .doc = "Forty words would be too many here but a few more than one line of a terminal "
               "holds are just right.",
        .size = sizeof(void *),
        .fields = fields};
    fields[0].sub = &loop;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    nu_schema_doc_text(&loop, out);
    fclose(out);
    assert_string_equal(text,
                        "loop\n"
                        "  Forty words would be too many here but a few more than one line of "
                        "a\n  terminal holds are just right.\n\n"
                        "  again                  map\n\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_maps_below_each_other),
        cmocka_unit_test(types_say_their_bounds_and_choices),
        cmocka_unit_test(markdown_has_tables_with_escaped_bars),
        cmocka_unit_test(cycles_end_and_long_words_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
