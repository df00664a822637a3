/* The labels of a set: what stands in its prefix where its group's pattern has a placeholder. For
 * the forms of figures that know labels. Any thread. */
#include "core/stats_priv.h"

#include <string.h>

/* A placeholder's label is called like the segment before it, or like itself where it is first. */
static struct stats_label label_key(const char *literal, const char *mark)
{
    const char *end = mark > literal && mark[-1] == '.' ? mark - 1 : mark;
    const char *begin = end;
    while (begin > literal && begin[-1] != '.')
        begin--;
    if (begin == end)
        return (struct stats_label){.key = mark + 1, .key_len = strcspn(mark + 1, ">")};
    return (struct stats_label){.key = begin, .key_len = (size_t)(end - begin)};
}

/* Where the value of a placeholder ends: at the last place where the literal that follows it in the
 * pattern stands, since names contain dots themselves. NULL: nowhere. */
static const char *value_end(const char *value, const char *literal)
{
    size_t len = strcspn(literal, "<");
    const char *p = value + strlen(value);
    if (!len)
        return p;
    while (p > value && strncmp(p, literal, len) != 0)
        p--;
    return p > value ? p : NULL;
}

/* Takes the placeholders of the pattern out of the prefix; false where the two do not agree. */
static bool match_labels(const char *pattern, const char *prefix, struct stats_label *labels,
                         size_t *n)
{
    for (*n = 0;; ++*n) {
        size_t literal = strcspn(pattern, "<");
        if (strncmp(pattern, prefix, literal) != 0)
            return false;
        const char *mark = pattern + literal;
        prefix += literal;
        if (!*mark)
            return !*prefix;
        struct stats_label label = label_key(pattern, mark);
        pattern = mark + strcspn(mark, ">");
        pattern += *pattern == '>';
        label.value = prefix;
        prefix = value_end(prefix, pattern);
        if (!prefix || *n == STATS_LABELS_MAX)
            return false;
        label.value_len = (size_t)(prefix - label.value);
        labels[*n] = label;
    }
}

size_t stats_labels(const struct nu_stats *set, struct stats_label labels[STATS_LABELS_MAX])
{
    size_t n;
    if (match_labels(set->group->pattern, set->prefix, labels, &n))
        return n;
    labels[0] = (struct stats_label){"prefix", set->prefix, 6, strlen(set->prefix)};
    return 1;
}

/* "downstream_rq_2xx" ends in a class of codes. */
char stats_code_class(const char *name)
{
    size_t len = strlen(name);
    if (len < 4 || strcmp(name + len - 2, "xx") != 0 || name[len - 4] != '_')
        return 0;
    char digit = name[len - 3];
    return digit >= '1' && digit <= '5' ? digit : 0;
}
