/* Chain choice. The input is a little program: rules made of values from short lists, then
 * connections. What the tables answer must be what trying every rule does. */
#include "core/assert.h"
#include "tests/unit/l4/naive_match.h"

#define RULES_MAX  8
#define VALUES_MAX 3 /* of a key */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const patterns[] = {"a.test",   "b.a.test",   "c.b.a.test", "*.test",
                                       "*.a.test", "*.b.a.test", "*",          "B.A.TEST."};
static const char *const names[] = {"a.test", "b.a.test", "x.b.a.test", "test",
                                    "..",     "B.a.Test", "z",          ""};
static const char *const protocols[] = {"h2", "http/1.1", "h3", "x"};
static const char *const networks[] = {"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32",
                                       "::/0",      "fd00::/8",   "fd00::1/128", "10.1.2.0/24"};
static const char *const hosts[] = {"10.1.2.3",  "10.1.9.9",  "10.9.9.9", "11.0.0.1",
                                    "[fd00::1]", "[fd00::2]", "[::1]",    "10.1.2.9"};

/* The program, read byte by byte; zeroes behind its end. */
static struct {
    const uint8_t *at;
    size_t left;
} input;

static unsigned next(unsigned below)
{
    if (input.left == 0)
        return 0;
    input.left--;
    return *input.at++ % below;
}

static struct nu_vec strings(struct nu_arena *arena, const char *const *from, unsigned count)
{
    struct nu_vec vec = {.count = next(VALUES_MAX + 1)};
    const char **items = nu_arena_alloc(arena, VALUES_MAX * sizeof *items);
    for (size_t i = 0; i < vec.count; i++)
        items[i] = from[next(count)];
    vec.items = items;
    return vec;
}

static struct nu_vec prefixes(struct nu_arena *arena)
{
    struct nu_vec texts = strings(arena, networks, 8);
    struct nu_addr *items = nu_arena_alloc(arena, VALUES_MAX * sizeof *items);
    for (size_t i = 0; i < texts.count; i++)
        nu_assert(nu_addr_parse_cidr(&items[i], ((const char **)texts.items)[i]) == NU_OK);
    return (struct nu_vec){items, texts.count};
}

static struct nu_vec ports(struct nu_arena *arena)
{
    struct nu_vec vec = {.count = next(VALUES_MAX)};
    int64_t *items = nu_arena_alloc(arena, VALUES_MAX * sizeof *items);
    for (size_t i = 0; i < vec.count; i++)
        items[i] = 1 + next(3);
    vec.items = items;
    return vec;
}

static void read_rule(struct nu_arena *arena, struct nu_match_rule *rule)
{
    *rule = (struct nu_match_rule){
        .sni = strings(arena, patterns, 8),
        .alpn = strings(arena, protocols, 4),
        .source = prefixes(arena),
        .destination = prefixes(arena),
        .source_port = ports(arena),
        .destination_port = ports(arena),
        .transport = (int)next(3),
        .ja3 = strings(arena, protocols, 4),
        .ja4 = strings(arena, protocols, 4),
    };
}

/* Those that do not clash with one before. */
static size_t read_rules(struct nu_arena *arena, struct nu_match_rule *rules, void **values,
                         struct nu_match **match)
{
    struct nu_match_clash clash;
    size_t count = 0;
    for (unsigned want = 1 + next(RULES_MAX); want; want--) {
        read_rule(arena, &rules[count]);
        values[count] = &rules[count];
        if (nu_match_build(match, arena, rules, values, count + 1, &clash) == NU_OK)
            count++;
        else
            nu_assert(clash.first < clash.second && clash.second == count);
    }
    nu_assert(nu_match_build(match, arena, rules, values, count, &clash) == NU_OK);
    return count;
}

static void read_connection(struct nu_match_input *in, struct nu_addr *from, struct nu_addr *to)
{
    nu_assert(nu_addr_parse(from, hosts[next(8)], (int)next(5)) == NU_OK);
    nu_assert(nu_addr_parse(to, hosts[next(8)], (int)next(5)) == NU_OK);
    *in = (struct nu_match_input){
        .client = from, .local = to, .transport = (enum nu_transport)next(3)};
    const char *name = names[next(8)];
    in->sni = (struct nu_match_name){name, strlen(name)};
    in->ja3 = protocols[next(4)];
    in->ja4 = protocols[next(4)];
    for (unsigned n = next(NU_MATCH_MAX_ALPN + 1); n; n--) {
        const char *protocol = protocols[next(4)];
        in->alpn[in->alpn_count++] = (struct nu_match_name){protocol, strlen(protocol)};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_match_rule rules[RULES_MAX];
    void *values[RULES_MAX];
    struct nu_match *match;
    struct nu_arena *arena = nu_arena_new(4096);
    input.at = data;
    input.left = len;
    size_t count = read_rules(arena, rules, values, &match);
    do {
        struct nu_match_input in;
        struct nu_addr from, to;
        read_connection(&in, &from, &to);
        int expected = naive_find(rules, count, &in);
        nu_assert(nu_match_find(match, &in) == (expected < 0 ? NULL : &rules[expected]));
        nu_match_needs_sniff(match, &from, &to);
    } while (input.left);
    nu_arena_free(arena);
    return 0;
}
