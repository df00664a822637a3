/* Accept-Encoding; see accept.h. Weights are thousandths. */
#include "protocols/coding/accept.h"

#include "core/arena.h"
#include "core/assert.h"

#include <string.h>

#define NOT_SAID (-1)

/* The weights of a field: by coding, and of "*". */
struct weights {
    int q[NU_CODING_COUNT];
    int any;
};

const char *nu_accept_why_str(enum nu_accept_why why)
{
    static const char *const names[] = {"none", "named", "wildcard", "identity", "not"};
    nu_assert((unsigned)why < sizeof names / sizeof *names);
    return names[why];
}

static struct nu_text trim(struct nu_text t)
{
    while (t.len > 0 && (*t.at == ' ' || *t.at == '\t'))
        t = nu_text(t.at + 1, t.len - 1);
    while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

/* Takes what is before the first `stop` off the text; what is quoted is not looked at. */
static struct nu_text cut(struct nu_text *rest, char stop)
{
    bool quoted = false;
    size_t len = 0;
    for (; len < rest->len && (quoted || rest->at[len] != stop); len++) {
        if (rest->at[len] == '"')
            quoted = !quoted;
        else if (quoted && rest->at[len] == '\\' && len + 1 < rest->len)
            len++;
    }
    struct nu_text before = nu_text(rest->at, len);
    size_t gone = len + (len < rest->len);
    *rest = nu_text(rest->at + gone, rest->len - gone);
    return trim(before);
}

/* 0, 1, or with up to three decimals (RFC 9110 12.4.2); 0 for what is no weight. */
static int weight(struct nu_text t)
{
    int q;
    if (t.len == 0 || t.len > 5 || (*t.at != '0' && *t.at != '1') || (t.len > 1 && t.at[1] != '.'))
        return 0;
    q = (*t.at - '0') * 1000;
    for (size_t i = 2, unit = 100; i < t.len; i++, unit /= 10) {
        if (t.at[i] < '0' || t.at[i] > '9')
            return 0;
        q += (t.at[i] - '0') * (int)unit;
    }
    return q <= 1000 ? q : 0;
}

/* The weight among the parameters behind a coding's name. */
static int weight_of(struct nu_text parameters)
{
    while (parameters.len > 0) {
        struct nu_text value = cut(&parameters, ';');
        struct nu_text name = cut(&value, '=');
        if (nu_text_is_fold(name, "q"))
            return weight(trim(value));
    }
    return 1000;
}

/* Of a coding that is named twice the first counts. */
static void note(struct weights *w, struct nu_text element)
{
    struct nu_text name = cut(&element, ';');
    enum nu_coding coding = nu_coding_find(name.at, name.len);
    int *at = nu_text_is(name, "*") ? &w->any : NULL;
    if (coding < NU_CODING_COUNT)
        at = &w->q[coding];
    if (at && *at == NOT_SAID)
        *at = weight_of(element);
}

static struct weights weights_of(struct nu_text list)
{
    struct weights w = {.any = NOT_SAID};
    struct nu_text element;
    for (int i = 0; i < NU_CODING_COUNT; i++)
        w.q[i] = NOT_SAID;
    while (nu_http_list_next(&list, &element))
        note(&w, element);
    return w;
}

struct nu_text nu_accept_copy(const struct nu_http_head *request, struct nu_arena *arena)
{
    const struct nu_http_field *first = nu_http_get(request, NU_HDR_ACCEPT_ENCODING), *f;
    size_t room = 0;
    for (f = first; f; f = nu_http_next(request, f))
        room += f->value_len + 1u;
    if (!first)
        return nu_text(NULL, 0);
    char *all = nu_arena_alloc(arena, room), *at = all;
    for (f = first; f; f = nu_http_next(request, f)) {
        at = mempcpy(at, f->value, f->value_len);
        *at++ = ',';
    }
    return nu_text(all, room - 1);
}

enum nu_coding nu_accept_coding(struct nu_text list, const enum nu_coding *offered, size_t count,
                                enum nu_accept_why *why)
{
    enum nu_coding best = NU_CODING_IDENTITY;
    int best_q = 0;
    *why = list.at ? NU_ACCEPT_NOT : NU_ACCEPT_NONE;
    if (!list.at)
        return best;
    struct weights w = weights_of(list);
    for (size_t i = 0; i < count; i++) {
        bool named = w.q[offered[i]] != NOT_SAID;
        int q = named ? w.q[offered[i]] : w.any;
        if (q <= best_q)
            continue;
        best = offered[i];
        best_q = q;
        *why = named ? NU_ACCEPT_NAMED : NU_ACCEPT_WILDCARD;
    }
    if (w.q[NU_CODING_IDENTITY] > best_q) {
        best = NU_CODING_IDENTITY;
        *why = NU_ACCEPT_IDENTITY;
    }
    return best;
}

bool nu_field_has(const struct nu_http_head *head, enum nu_hdr id, const char *token)
{
    for (const struct nu_http_field *f = nu_http_get(head, id); f; f = nu_http_next(head, f)) {
        struct nu_text rest = nu_http_field_value(f), element;
        while (nu_http_list_next(&rest, &element)) {
            struct nu_text before = cut(&element, ';');
            if (nu_text_is_fold(cut(&before, '='), token))
                return true;
        }
    }
    return false;
}
