/* What `nuncio top` makes of two answers, and that nothing a peer says reaches a terminal. */
#include "tools/nuncio/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLUSTER(name, total, bad, ms)                                                              \
    "{\"name\":\"" name "\",\"healthy\":1,\"total\":1,\"rq_total\":" total                         \
    ",\"classes\":[0,0,0,0," bad "],\"ms\":" ms "}"
#define ANSWER(time, http, clusters)                                                               \
    "{\"time\":" time ",\"http\":[" http "],\"clusters\":[" clusters "],\"listeners\":[]}"

static const char first[] =
    ANSWER("1000", CLUSTER("in", "100", "10", "[[1,50],[9,50]]"),
           CLUSTER("gone", "5", "0", "[]") "," CLUSTER("a", "10", "0", "[[1,10]]"));
static const char second[] =
    ANSWER("3000", CLUSTER("in", "200", "20", "[[1,50],[5,96],[9,52],[70,2]]"),
           CLUSTER("a", "10", "0", "[[1,10]]") "," CLUSTER("b", "4", "4", "[[2,4]]") "," CLUSTER(
               "bad", "1", "0", "[[1]]"));

static void subtracts(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_json *before = nu_json_read(arena, first, strlen(first));
    struct nu_json *now = nu_json_read(arena, second, strlen(second));
    struct top_view view;
    assert_true(before && now);
    top_view_make(&view, arena, now, before);
    assert_true(view.http && view.seconds == 2 && view.all.rate == 50 && view.all.errors == 0.1);
    assert_true(view.all.ms[TOP_P50] == 5 && view.all.ms[TOP_P95] == 5 &&
                view.all.ms[TOP_P99] == 70);
    assert_int_equal(view.cluster_count, 3);
    assert_string_equal(nu_json_text(view.clusters[0].now, "name"), "a");
    assert_true(view.clusters[0].rate == 0 && view.clusters[0].errors == -1 &&
                view.clusters[0].ms[TOP_P50] == -1);
    top_view_make(&view, arena, now, NULL);
    assert_true(view.all.rate == 0 && view.all.errors == -1);
    nu_arena_free(arena);
}

static void check_text(const char *text, size_t width, const char *drawn)
{
    char *out;
    size_t len;
    FILE *file = open_memstream(&out, &len);
    top_put_text(file, text, width);
    fclose(file);
    assert_string_equal(out, drawn);
    free(out);
}

static void draws_harmless_text(void **state)
{
    check_text("ab", 4, "ab  ");
    check_text("abcd", 3, "abc");
    check_text("\033]0;x\007\r\n", 0, "?]0;x???");
    check_text("\xc3\xa9\xc2\x9b\xe2\x80\xae\xff|", 0, "\xc3\xa9???|");
    check_text("\xc3\xa9\xc3\xa9\xc3\xa9", 2, "\xc3\xa9\xc3\xa9");
    check_text("", 0, "");
}

/* Of any size, so many lines and not one more. */
static void fits_its_screen(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_json *now = nu_json_read(arena, second, strlen(second));
    struct top_view view;
    top_view_make(&view, arena, now, NULL);
    for (int rows = 1; rows < 40; rows++) {
        char *text;
        size_t len, lines = 1;
        FILE *file = open_memstream(&text, &len);
        struct top_screen screen = {.rows = rows, .columns = 1 + rows * 3, .first = 1000};
        top_draw(file, &screen, &view, NULL);
        fclose(file);
        for (size_t i = 0; i < len; i++)
            lines += text[i] == '\n';
        assert_true(lines <= (size_t)rows);
        free(text);
    }
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subtracts),
        cmocka_unit_test(draws_harmless_text),
        cmocka_unit_test(fits_its_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
