/* PCRE2 behind a narrow door; see regex.h. */
#include "l7/route/regex.h"

#include "core/assert.h"
#include "l7/route/out.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <string.h>

/* "$" is the end, never before a line break; no pattern turns UTF on, which bytes of peers break.
 */
#define COMPILE_OPTIONS                                                                            \
    (PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C)
#define MESSAGE_BYTES 160

struct nu_regex {
    pcre2_code *code;
    const char *text;
    struct nu_stats *stats;
    uint32_t groups; /* without \0 */
};

static const struct nu_stat_def stat_defs[] = {
    [NU_REGEX_FAILED] = {"failed", NU_COUNTER, NULL,
                         "Searches given up at a limit (steps, memory); they count as no match."},
};
const struct nu_stat_group nu_regex_stats =
    NU_STAT_GROUP("regex", "Regular expressions of routes.", stat_defs);

/* --- what a thread needs to match --- */

struct local {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static _Thread_local struct local *local;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit_key;

static void free_local(void *arg)
{
    struct local *l = arg;
    pcre2_match_data_free(l->data);
    pcre2_match_context_free(l->limits);
    free(l);
}

static void make_key(void)
{
    nu_assert(pthread_key_create(&at_exit_key, free_local) == 0);
}

static struct local *local_here(void)
{
    if (local)
        return local;
    pthread_once(&once, make_key);
    local = malloc(sizeof *local);
    nu_assert(local != NULL);
    local->data = pcre2_match_data_create(NU_REGEX_GROUPS, NULL);
    local->limits = pcre2_match_context_create(NULL);
    nu_assert(local->data && local->limits);
    pcre2_set_match_limit(local->limits, NU_REGEX_STEPS_MAX);
    pcre2_set_heap_limit(local->limits, NU_REGEX_HEAP_KIB);
    pthread_setspecific(at_exit_key, local);
    return local;
}

/* --- patterns --- */

static void free_regex(void *arg)
{
    struct nu_regex *regex = arg;
    pcre2_code_free(regex->code);
    nu_stats_put(regex->stats);
}

static enum nu_err report(struct nu_conf *conf, const struct nu_node *node, int error,
                          size_t offset)
{
    PCRE2_UCHAR message[MESSAGE_BYTES];
    pcre2_get_error_message(error, message, sizeof message);
    nu_conf_error(conf, node, "bad regular expression: %s (offset %zu)", (const char *)message,
                  offset);
    return NU_ERR_CONFIG;
}

enum nu_err nu_regex_parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out)
{
    int error;
    size_t offset;
    *(const struct nu_regex **)out = NULL;
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text) {
        nu_conf_error(conf, node, "expected a regular expression");
        return NU_ERR_CONFIG;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)node->text, PCRE2_ZERO_TERMINATED, COMPILE_OPTIONS,
                                     &error, &offset, NULL);
    if (!code)
        return report(conf, node, error, offset);
    struct nu_regex *regex = nu_arena_alloc(arena, sizeof *regex);
    regex->code = code;
    regex->text = nu_arena_strdup(arena, node->text);
    regex->stats = nu_stats_get(&nu_regex_stats, "regex");
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
    nu_arena_on_free(arena, free_regex, regex);
    *(const struct nu_regex **)out = regex;
    return NU_OK;
}

const char *nu_regex_text(const struct nu_regex *regex)
{
    return regex->text;
}

const char *nu_regex_found_str(enum nu_regex_found found)
{
    static const char *const names[] = {"miss", "hit", "gave up"};
    return (unsigned)found < sizeof names / sizeof *names ? names[found] : "?";
}

static enum nu_regex_found search(const struct nu_regex *regex, struct nu_text subject,
                                  size_t start)
{
    struct local *l = local_here();
    int rc =
        pcre2_match(regex->code, (PCRE2_SPTR)subject.at, subject.len, start, 0, l->data, l->limits);
    if (rc >= 0)
        return NU_REGEX_HIT;
    if (rc == PCRE2_ERROR_NOMATCH)
        return NU_REGEX_MISS;
    nu_stat_add_any(regex->stats, NU_REGEX_FAILED, 1);
    return NU_REGEX_GAVE_UP;
}

enum nu_regex_found nu_regex_match(const struct nu_regex *regex, struct nu_text subject)
{
    return search(regex, subject, 0);
}

/* --- replacing --- */

static enum nu_err check_edit(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    const struct nu_regex_edit *edit = out;
    const struct nu_node *with = nu_node_get(node, "with");
    for (const char *p = edit->with; *p; p++) {
        bool digit = p[1] >= '0' && p[1] <= '9';
        if (*p == '$' && digit) {
            nu_conf_error(conf, with, "groups are written \\%c, not $%c", p[1], p[1]);
            return NU_ERR_CONFIG;
        }
        if (*p != '\\')
            continue;
        if (!digit && p[1] != '\\') {
            nu_conf_error(conf, with,
                          "behind \"\\\" stands a digit, the number of a group, or "
                          "another \"\\\"");
            return NU_ERR_CONFIG;
        }
        if (digit && (uint32_t)(p[1] - '0') > edit->regex->groups) {
            nu_conf_error(conf, with, "\\%c: the pattern has %u group%s", p[1], edit->regex->groups,
                          edit->regex->groups == 1 ? "" : "s");
            return NU_ERR_CONFIG;
        }
        p++;
    }
    return NU_OK;
}

static const struct nu_field edit_fields[] = {
    {.key = "pattern",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct nu_regex_edit, regex),
     .parse = nu_regex_parse,
     .shown = "regular expression",
     .doc = "What is replaced, wherever it matches in the path (without the query)."},
    {.key = "with",
     .type = NU_STRING,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct nu_regex_edit, with),
     .doc = "By what: `\\1` to `\\9` are what the pattern's groups matched, `\\0` the whole match, "
            "`\\\\` is a backslash."},
    {0             },
};

const struct nu_schema nu_regex_edit_schema = {
    .name = "path_regex",
    .doc = "Replaces what a regular expression matches.",
    .size = sizeof(struct nu_regex_edit),
    .fields = edit_fields,
    .check = check_edit,
};

/* One place: `with`, its groups filled in from the last match. */
static void put_with(const char *with, struct nu_text subject, struct route_out *out)
{
    const size_t *ends = pcre2_get_ovector_pointer(local->data);
    while (*with) {
        size_t plain = strcspn(with, "\\");
        route_put(out, nu_text(with, plain));
        with += plain;
        if (!*with)
            return;
        unsigned group = (unsigned)(with[1] - '0');
        if (with[1] == '\\')
            route_put_str(out, "\\");
        else if (ends[2 * group] != PCRE2_UNSET)
            route_put(out,
                      nu_text(subject.at + ends[2 * group], ends[2 * group + 1] - ends[2 * group]));
        with += 2;
    }
}

bool nu_regex_replace(const struct nu_regex_edit *edit, struct nu_text subject,
                      struct route_out *out)
{
    size_t done = 0, from = 0; /* what is written, where the search goes on */
    enum nu_regex_found found = NU_REGEX_MISS;
    for (unsigned n = 0; from <= subject.len; n++) {
        if ((found = search(edit->regex, subject, from)) != NU_REGEX_HIT)
            break;
        const size_t *ends = pcre2_get_ovector_pointer(local->data);
        size_t start = ends[0], end = ends[1];
        if (n == NU_REGEX_REPLACE_MAX || out->too_long || start > end || start < done)
            return false;
        bool again = start == end && n > 0 && start == done; /* nothing, behind another place */
        if (!again) {
            route_put(out, nu_text(subject.at + done, start - done));
            put_with(edit->with, subject, out);
            done = end;
        }
        from = end > start ? end : end + 1;
    }
    route_put(out, nu_text(subject.at + done, subject.len - done));
    return found != NU_REGEX_GAVE_UP;
}
