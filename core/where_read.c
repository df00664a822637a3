/* Conditions: words, and a tree of them by recursive descent; see where.h.
 *
 *   or    = and { "||" and }      and = not { "&&" not }
 *   not   = "!" not | "(" or ")" | FIELD [ OPERATOR VALUE ] */
#include "core/conf/tree.h"
#include "core/where_priv.h"

#include <stdarg.h>
#include <string.h>

#define NO_NODE     UINT16_MAX
#define FIELDS_MOST 64 /* names that a guess chooses from */

enum word { WORD_END, WORD_NAME, WORD_VALUE, WORD_TEXT, WORD_SIGN, WORD_BAD };

static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">=", "contains"};

struct parser {
    struct nu_where *where;
    const char *place;     /* that mistakes begin with */
    const char *text, *at; /* behind the word */
    enum word word;
    struct nu_text is; /* the word; of a TEXT what is in the quotes */
    const char *from;  /* where it begins, quotes and all */
    unsigned depth;
    FILE *errors;
    unsigned mistakes;
    bool broken; /* one of them is such that nothing more is read */
};

/* --- mistakes --- */

/* The line of the condition that holds `at`. */
static struct nu_text line_of(const struct parser *p, const char *at, unsigned *number)
{
    const char *from = p->text, *end;
    for (*number = 1; (end = strchr(from, '\n')) && end < at; ++*number)
        from = end + 1;
    return nu_text(from, end ? (size_t)(end - from) : strlen(from));
}

static void mistake(struct parser *p, const char *from, size_t len, const char *guess,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* "PLACE:1:9: text", the line, a caret, a guess; as of config files. Reading goes on. */
static void mistake(struct parser *p, const char *from, size_t len, const char *guess,
                    const char *fmt, ...)
{
    unsigned number;
    struct nu_text line = line_of(p, from, &number);
    va_list ap;
    if (p->broken)
        return;
    fprintf(p->errors, "%s:%u:%zu: ", p->place, number, (size_t)(from - line.at) + 1);
    va_start(ap, fmt);
    vfprintf(p->errors, fmt, ap);
    va_end(ap);
    fprintf(p->errors, "\n%5u | %.*s\n      | ", number, (int)line.len, line.at);
    for (const char *at = line.at; at < from; at++)
        if ((*at & 0xc0) != 0x80) /* a letter of several bytes is one column */
            fputc(*at == '\t' ? '\t' : ' ', p->errors);
    for (size_t i = 0; i < (len ? len : 1); i++)
        if (!i || (from[i] & 0xc0) != 0x80)
            fputc('^', p->errors);
    if (guess)
        fprintf(p->errors, " did you mean \"%s\"?", guess);
    fputc('\n', p->errors);
    p->mistakes++;
}

static uint16_t give_up(struct parser *p)
{
    p->broken = true;
    return NO_NODE;
}

/* What stands behind this one cannot be understood. */
#define fail(p, ...) (mistake(p, __VA_ARGS__), give_up(p))

/* --- words --- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static enum word sign_of(struct parser *p)
{
    static const char *const all[] = {"==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t len = strlen(all[i]);
        if (strncmp(p->at, all[i], len) == 0) {
            p->is = nu_text(p->at, len);
            p->at += len;
            return WORD_SIGN;
        }
    }
    fail(p, p->at, 1,
         *p->at == '='   ? "=="
         : *p->at == '&' ? "&&"
         : *p->at == '|' ? "||"
                         : NULL,
         "what is \"%c\"?", *p->at >= ' ' && *p->at < 0x7f ? *p->at : '?');
    return WORD_BAD;
}

/* Between quotes, a backslash before a quote or another one taken off. */
static enum word text_of(struct parser *p)
{
    char quote = *p->at++, *out = nu_arena_alloc(p->where->arena, strlen(p->at) + 1);
    size_t len = 0;
    for (; *p->at && *p->at != quote; p->at++) {
        if (*p->at == '\\' && p->at[1])
            p->at++;
        out[len++] = *p->at;
    }
    p->is = nu_text(out, len);
    if (!*p->at) {
        fail(p, p->from, 1, NULL, "this quote is not closed");
        return WORD_BAD;
    }
    p->at++;
    return WORD_TEXT;
}

static void next(struct parser *p)
{
    p->at += strspn(p->at, " \t\n");
    p->from = p->at;
    p->is = nu_text(p->at, 0);
    if (!*p->at)
        p->word = WORD_END;
    else if (*p->at == '"' || *p->at == '\'')
        p->word = text_of(p);
    else if (!is_name_byte(*p->at))
        p->word = sign_of(p);
    else {
        while (is_name_byte(p->at[p->is.len]))
            p->is.len++;
        p->word = *p->at >= '0' && *p->at <= '9' ? WORD_VALUE : WORD_NAME;
        p->at += p->is.len;
    }
}

static bool is_sign(const struct parser *p, const char *sign, const char *name)
{
    return (p->word == WORD_SIGN && nu_text_is(p->is, sign)) ||
           (p->word == WORD_NAME && nu_text_is(p->is, name));
}

static size_t word_len(const struct parser *p)
{
    return (size_t)(p->at - p->from);
}

/* --- values --- */

static bool parse_bool(const struct parser *p, struct where_node *n)
{
    n->value.number = nu_text_is(p->is, "true");
    return p->word == WORD_NAME && (n->value.number || nu_text_is(p->is, "false"));
}

static bool parse_addr(struct parser *p, struct where_node *n)
{
    const char *text = nu_arena_strndup(p->where->arena, p->is.at, p->is.len);
    n->prefix = strchr(text, '/') != NULL;
    if (p->word != WORD_TEXT)
        return false;
    if (n->prefix || nu_addr_parse_cidr(&n->value.addr, text) == NU_OK) {
        n->prefix = true;
        return nu_addr_parse_cidr(&n->value.addr, text) == NU_OK;
    }
    return nu_addr_parse(&n->value.addr, text, -1) == NU_OK;
}

static bool parse_value(struct parser *p, struct where_node *n, enum nu_where_type type)
{
    n->value.text = p->is;
    switch (type) {
    case NU_WHERE_TEXT:
        return p->word == WORD_TEXT;
    case NU_WHERE_NUMBER:
    case NU_WHERE_TIME:
    case NU_WHERE_BYTES:
        return p->word == WORD_VALUE && nu_where_number(p->is, type, &n->value.number);
    case NU_WHERE_BOOL:
        return parse_bool(p, n);
    case NU_WHERE_ADDR:
        return parse_addr(p, n);
    }
    return false;
}

/* --- the tree --- */

static uint16_t add(struct parser *p, const struct where_node *n)
{
    if (p->broken)
        return NO_NODE;
    if (p->where->count == NU_WHERE_NODES)
        return fail(p, p->from, 1, NULL, "longer than %d comparisons", NU_WHERE_NODES);
    p->where->node[p->where->count] = *n;
    return (uint16_t)p->where->count++;
}

static void unknown_field(struct parser *p)
{
    const char *names[FIELDS_MOST];
    size_t count = 0;
    const struct nu_where_fields *fields = p->where->fields;
    for (; count < FIELDS_MOST && count < fields->count; count++)
        names[count] = fields->field[count].name;
    const char *word = nu_arena_strndup(p->where->arena, p->is.at, p->is.len);
    mistake(p, p->from, word_len(p), nu_did_you_mean(word, names, count),
            "unknown field \"%s\" (%s)", word, fields->listed);
}

/* Looks it up; false: there is none of that name. */
static bool find_field(const struct parser *p, struct where_node *n)
{
    const struct nu_where_fields *fields = p->where->fields;
    for (size_t i = 0; i < fields->count; i++)
        if (nu_text_is(p->is, fields->field[i].name)) {
            n->field = &fields->field[i];
            return true;
        }
    for (size_t i = 0; i < fields->families; i++) {
        size_t len = strlen(fields->family[i].prefix);
        if (p->is.len > len && memcmp(p->is.at, fields->family[i].prefix, len) == 0) {
            n->family = &fields->family[i];
            n->name = nu_text(p->is.at + len, p->is.len - len);
            return true;
        }
    }
    return false;
}

static bool take_operator(struct parser *p, struct where_node *n)
{
    for (n->op = WHERE_EQ; n->op <= WHERE_CONTAINS; n->op++)
        if (is_sign(p, signs[n->op], signs[n->op])) {
            next(p);
            return true;
        }
    n->op = WHERE_IS;
    return false;
}

/* What makes no sense for a type. */
static bool fits(enum where_op op, enum nu_where_type type)
{
    bool order = op >= WHERE_LT && op <= WHERE_GE;
    if (op == WHERE_CONTAINS)
        return type == NU_WHERE_TEXT;
    return !order || type == NU_WHERE_NUMBER || type == NU_WHERE_TIME || type == NU_WHERE_BYTES;
}

/* The operator stands already in `n`, at `sign`. */
static void judge(struct parser *p, struct where_node *n, struct nu_text name, struct nu_text sign)
{
    enum nu_where_type type = where_type(n);
    if (!fits((enum where_op)n->op, type))
        mistake(p, sign.at, sign.len, NULL, "%s does not fit: %.*s is %s", signs[n->op],
                (int)name.len, name.at, nu_where_type_str(type));
    else if (!parse_value(p, n, type))
        mistake(p, p->from, word_len(p), NULL, "%.*s is %s, and this is none%s", (int)name.len,
                name.at, nu_where_type_str(type),
                type == NU_WHERE_TEXT || type == NU_WHERE_ADDR ? ": it stands in quotes" : "");
}

static bool is_value(const struct parser *p)
{
    return p->word == WORD_TEXT || p->word == WORD_VALUE || p->word == WORD_NAME;
}

static uint16_t no_field(struct parser *p)
{
    if (p->word == WORD_END)
        return fail(p, p->from, 0, NULL, "it ends where a field should stand");
    return fail(p, p->from, word_len(p), NULL, "here should stand a field (%s)",
                p->where->fields->listed);
}

static uint16_t comparison(struct parser *p)
{
    struct where_node n = {.op = WHERE_IS};
    if (p->word != WORD_NAME)
        return no_field(p);
    bool known = find_field(p, &n);
    if (!known)
        unknown_field(p);
    struct nu_text name = p->is;
    next(p);
    struct nu_text sign = nu_text(p->from, word_len(p));
    if (!take_operator(p, &n))
        return add(p, &n);
    if (!is_value(p) && !p->broken)
        return fail(p, p->from, word_len(p), NULL, "behind %.*s should stand a value",
                    (int)sign.len, sign.at);
    if (known)
        judge(p, &n, name, sign);
    next(p);
    return add(p, &n);
}

static uint16_t either(struct parser *p);

static uint16_t in_parentheses(struct parser *p)
{
    const char *open = p->from;
    next(p);
    uint16_t inside = either(p);
    if (!p->broken && !is_sign(p, ")", ")"))
        return fail(p, open, 1, NULL, "this parenthesis is not closed");
    next(p);
    return inside;
}

static uint16_t one(struct parser *p)
{
    if (p->broken)
        return NO_NODE;
    if (++p->depth > NU_WHERE_DEPTH)
        return fail(p, p->from, 1, NULL, "deeper than %d", NU_WHERE_DEPTH);
    uint16_t node;
    if (is_sign(p, "!", "not")) {
        next(p);
        struct where_node n = {.op = WHERE_NOT, .a = one(p)};
        node = add(p, &n);
    } else
        node = is_sign(p, "(", "(") ? in_parentheses(p) : comparison(p);
    p->depth--;
    return node;
}

static uint16_t both(struct parser *p)
{
    uint16_t left = one(p);
    while (!p->broken && is_sign(p, "&&", "and")) {
        next(p);
        struct where_node n = {.op = WHERE_AND, .a = left, .b = one(p)};
        left = add(p, &n);
    }
    return left;
}

static uint16_t either(struct parser *p)
{
    uint16_t left = both(p);
    while (!p->broken && is_sign(p, "||", "or")) {
        next(p);
        struct where_node n = {.op = WHERE_OR, .a = left, .b = both(p)};
        left = add(p, &n);
    }
    return left;
}

unsigned where_read(struct nu_where *w, const char *place, const char *text, FILE *errors)
{
    struct parser p = {.where = w, .place = place, .text = text, .at = text, .errors = errors};
    next(&p);
    w->root = either(&p);
    if (!p.broken && p.word != WORD_END)
        mistake(&p, p.from, word_len(&p), NULL, "behind a comparison stands &&, || or nothing");
    return p.mistakes;
}
