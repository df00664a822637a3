/* The filter of docs/write-a-filter.md: words whole and cut apart, whatever is around them; ends;
 * what waits too long. */
#include "core/registry.h"
#include "tests/filters/probe.h"
#include "tests/unit/l4/filters/filter_help.h"

static struct nu_loop loop;
static struct configured conf;
static struct nu_probe left, right;
static struct nu_chain *chain;
static char got[4096]; /* by the right end, and by the left one */
static size_t len;
static unsigned ends;

static void take(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA) {
        memcpy(got + len, ev->u.data.data, ev->u.data.len);
        len += ev->u.data.len;
    } else if (ev->kind == NU_END) {
        ends++;
        nu_done(f, dir);
    }
    nu_ev_free(ev);
}

static void begin(const char *yaml)
{
    const struct nu_filter_type *mask = nu_registry_find("mask");
    assert_non_null(mask);
    nu_loop_init(&loop, 0);
    conf = configured(mask, yaml);
    left = right = (struct nu_probe){.event = take};
    const struct nu_place places[] = {
        {&nu_probe_left,  &left    },
        {mask,            conf.conf},
        {&nu_probe_right, &right   }
    };
    chain = nu_chain_new(&loop, places, 3, NULL, NULL, NULL);
    len = ends = 0;
}

static void end(void)
{
    if (left.self)
        nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&loop);
    assert_int_equal(nu_block_pool_lent(loop.blocks), 0);
    configured_free(&conf);
    nu_loop_fini(&loop);
}

/* `text`, in pieces of so many bytes, and an end behind it. */
static void says(struct nu_probe *who, enum nu_dir dir, const char *text, size_t step)
{
    char piece[256];
    for (; *text; text += strlen(piece)) {
        snprintf(piece, step + 1 < sizeof piece ? step + 1 : sizeof piece, "%s", text);
        nu_say(who->self, dir, piece);
    }
    nu_say_end(who->self, dir, NU_CAUSE_CLIENT_FIN);
}

static void assert_got(const char *want)
{
    if (len != strlen(want) || memcmp(got, want, len) != 0)
        fail_msg("\"%.*s\" is not \"%s\"", (int)len, got, want);
    assert_int_equal(ends, 1);
}

static const struct {
    const char *word, *said, *got;
} rows[] = {
    {"secret", "no word",                     "no word"                    },
    {"secret", "secret",                      "******"                     },
    {"secret", "a secretsecret, secre, tsec", "a ************, secre, tsec"},
    {"secret", "sesecretecret",               "se******ecret"              },
    {"aab",    "aaab aab aa",                 "a*** *** aa"                },
    {"abab",   "ababab",                      "****ab"                     },
    {"x",      "axbxx",                       "a*b**"                      },
};

static void words_become_stars_however_they_come(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 30; step++)
            for (int dir = NU_FWD; dir <= NU_REV; dir++) {
                begin(rows[i].word);
                says(dir == NU_FWD ? &left : &right, (enum nu_dir)dir, rows[i].said, step);
                assert_got(rows[i].got);
                end();
            }
}

/* Who waits for an answer to half a word would wait for ever. */
static void what_is_kept_is_sent_after_a_while(void **state)
{
    begin("secret");
    nu_say(left.self, NU_FWD, "password: se");
    assert_int_equal(len, strlen("password: "));
    nu_loop_advance(&loop, 50);
    assert_int_equal(len, strlen("password: se"));
    end();
}

static void what_is_kept_is_freed(void **state)
{
    begin("secret");
    nu_say(left.self, NU_FWD, "secr");
    end();
}

static void mistakes(void **state)
{
    assert_refused(nu_registry_find("mask"), "{word: ''}", "word");
    assert_refused(nu_registry_find("mask"), "{}", "missing key \"word\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_stars_however_they_come),
        cmocka_unit_test(what_is_kept_is_sent_after_a_while),
        cmocka_unit_test(what_is_kept_is_freed),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
