/* The trie of prefixes beside a search through all of them. */
#include "l7/route/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/seeded.h"

#include <stdlib.h>
#include <string.h>

#define PREFIXES 200
#define LONGEST  12

static void values_come_shortest_first(void **state)
{
    static const char *const prefixes[] = {"/", "/ab", "/abc/", "/abd", "/x", "/abc/de"};
    struct nu_arena *arena = nu_arena_new(256);
    struct route_trie *trie = route_trie_new(arena);
    for (size_t i = 0; i < 6; i++)
        *route_trie_slot(trie, nu_text(prefixes[i], strlen(prefixes[i]))) = (void *)prefixes[i];
    struct route_trie_walk walk = route_trie_start(trie, NU_TEXT("/abc/dx"));
    assert_string_equal(route_trie_next(&walk), "/");
    assert_string_equal(route_trie_next(&walk), "/ab");
    assert_string_equal(route_trie_next(&walk), "/abc/");
    assert_null(route_trie_next(&walk));
    assert_null(route_trie_next(&walk));
    walk = route_trie_start(trie, NU_TEXT(""));
    assert_null(route_trie_next(&walk));
    nu_arena_free(arena);
}

static struct nu_text random_text(struct seeded *r, struct nu_arena *arena)
{
    size_t len = seeded_below(r, LONGEST);
    char *text = nu_arena_alloc(arena, LONGEST);
    for (size_t i = 0; i < len; i++)
        text[i] =
            (char)(seeded_below(r, 8) ? 'a' + (int)seeded_below(r, 2) : (int)seeded_below(r, 256));
    return nu_text(text, len);
}

static bool begins(struct nu_text text, struct nu_text with)
{
    return text.len >= with.len && memcmp(text.at, with.at, with.len) == 0;
}

static void any_prefixes_of_any_bytes(void **state)
{
    struct seeded r = seeded_start("trie");
    for (int round = 0; round < 50; round++) {
        struct nu_arena *arena = nu_arena_new(4096);
        struct route_trie *trie = route_trie_new(arena);
        struct nu_text prefixes[PREFIXES];
        bool first[PREFIXES]; /* of those that are equal */
        for (size_t i = 0; i < PREFIXES; i++) {
            prefixes[i] = random_text(&r, arena);
            void **slot = route_trie_slot(trie, prefixes[i]);
            first[i] = !*slot;
            *slot = &prefixes[i];
        }
        for (int n = 0; n < 200; n++) {
            struct nu_text path = random_text(&r, arena);
            struct route_trie_walk walk = route_trie_start(trie, path);
            size_t expected = 0, got = 0;
            const struct nu_text *value, *before = NULL;
            for (size_t i = 0; i < PREFIXES; i++)
                expected += first[i] && begins(path, prefixes[i]);
            for (; (value = route_trie_next(&walk)); got++, before = value) {
                assert_true(begins(path, *value));
                assert_true(!before || before->len < value->len);
            }
            assert_int_equal(got, expected);
        }
        nu_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_shortest_first),
        cmocka_unit_test(any_prefixes_of_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
