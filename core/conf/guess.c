/* "Did you mean": the nearest of some words, if it is near enough to be a typo. */
#include "core/conf/tree.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 64 /* characters; longer ones are no typos of keys or names */

/* Case and the kind of dash do not count. */
static char fold(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b: the restricted
 * Damerau-Levenshtein distance, three rows at a time. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b_len; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            char x = fold(a[i - 1]), y = fold(b[j - 1]);
            row[j] = min2(min2(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b[j - 2]) && y == fold(a[i - 2]))
                row[j] = min2(row[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_len];
}

/* Edits that still look like a slip: none in a word of one or two letters, one up to four, two up
 * to eight, three beyond. */
static unsigned tolerance(size_t len)
{
    return len <= 2 ? 0 : len <= 4 ? 1 : len <= 8 ? 2 : 3;
}

const char *nu_did_you_mean(const char *word, const char *const *candidates, size_t count)
{
    size_t len = strlen(word);
    const char *best = NULL;
    unsigned best_edits = tolerance(len) + 1;
    if (len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        if (other > WORD_MAX || (other > len ? other - len : len - other) >= best_edits)
            continue;
        unsigned edits = distance(word, len, candidates[i], other);
        if (edits < best_edits) {
            best = candidates[i];
            best_edits = edits;
        }
    }
    return best;
}
