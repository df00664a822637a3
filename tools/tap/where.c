/* Conditions: words, a tree of them by recursive descent, the question whether an event fits.
 *
 *   or    = and { "||" and }      and = not { "&&" not }
 *   not   = "!" not | "(" or ")" | FIELD [ OPERATOR VALUE ] */
#include "tools/tap/where.h"

#include "core/assert.h"
#include "core/conf/tree.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NO_NODE     UINT16_MAX
#define FIELDS_MOST 64 /* names that a guess chooses from */

enum word { WORD_END, WORD_NAME, WORD_VALUE, WORD_TEXT, WORD_SIGN, WORD_BAD };
enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_CONTAINS, OP_IS, OP_AND, OP_OR, OP_NOT };

static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">=", "contains"};

struct node {
    uint8_t op;
    uint16_t a, b;                 /* AND, OR, NOT: nodes */
    const struct tap_field *field; /* else; or a header field: */
    int header;                    /* 0 request, 1 response; -1 none */
    struct nu_text name;
    struct tap_value value;
    bool prefix; /* the value is a CIDR prefix */
    bool ported; /* the address has a port to compare */
};

struct tap_where {
    struct node node[TAP_WHERE_NODES];
    unsigned count;
    uint16_t root;
    struct nu_arena *arena;
};

struct parser {
    struct tap_where *where;
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

/* "--where:1:9: text", the line, a caret, a guess; as of config files. Reading goes on. */
static void mistake(struct parser *p, const char *from, size_t len, const char *guess,
                    const char *fmt, ...)
{
    unsigned number;
    struct nu_text line = line_of(p, from, &number);
    va_list ap;
    if (p->broken)
        return;
    fprintf(p->errors, "--where:%u:%zu: ", number, (size_t)(from - line.at) + 1);
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

static bool parse_bool(const struct parser *p, struct node *n)
{
    n->value.number = nu_text_is(p->is, "true");
    return p->word == WORD_NAME && (n->value.number || nu_text_is(p->is, "false"));
}

static bool parse_addr(struct parser *p, struct node *n)
{
    const char *text = nu_arena_strndup(p->where->arena, p->is.at, p->is.len);
    n->prefix = strchr(text, '/') != NULL;
    if (p->word != WORD_TEXT)
        return false;
    if (n->prefix || nu_addr_parse_cidr(&n->value.addr, text) == NU_OK) {
        n->prefix = true;
        return nu_addr_parse_cidr(&n->value.addr, text) == NU_OK;
    }
    n->ported = true;
    return nu_addr_parse(&n->value.addr, text, -1) == NU_OK;
}

static bool parse_value(struct parser *p, struct node *n, enum tap_value_type type)
{
    n->value.text = p->is;
    switch (type) {
    case TAP_TEXT:
        return p->word == WORD_TEXT;
    case TAP_NUMBER:
    case TAP_TIME:
    case TAP_BYTES:
        return p->word == WORD_VALUE && tap_number(p->is, type, &n->value.number);
    case TAP_BOOL:
        return parse_bool(p, n);
    case TAP_ADDR:
        return parse_addr(p, n);
    }
    return false;
}

/* --- the tree --- */

static uint16_t add(struct parser *p, const struct node *n)
{
    if (p->broken)
        return NO_NODE;
    if (p->where->count == TAP_WHERE_NODES)
        return fail(p, p->from, 1, NULL, "longer than %d comparisons", TAP_WHERE_NODES);
    p->where->node[p->where->count] = *n;
    return (uint16_t)p->where->count++;
}

static void unknown_field(struct parser *p)
{
    const char *names[FIELDS_MOST];
    size_t count = 0;
    for (; count < FIELDS_MOST && tap_field_at(count); count++)
        names[count] = tap_field_at(count)->name;
    const char *word = nu_arena_strndup(p->where->arena, p->is.at, p->is.len);
    mistake(p, p->from, word_len(p), nu_did_you_mean(word, names, count),
            "unknown field \"%s\" (--fields lists them)", word);
}

/* request.NAME, response.NAME */
static bool is_header(struct nu_text word, struct node *n)
{
    static const char *const begins[] = {"request.", "response."};
    for (n->header = 0; n->header < 2; n->header++) {
        size_t len = strlen(begins[n->header]);
        if (word.len > len && memcmp(word.at, begins[n->header], len) == 0) {
            n->name = nu_text(word.at + len, word.len - len);
            return true;
        }
    }
    n->header = -1;
    return false;
}

static enum tap_value_type type_of(const struct node *n)
{
    return n->header >= 0 ? TAP_TEXT : n->field->type;
}

static bool take_operator(struct parser *p, struct node *n)
{
    for (n->op = OP_EQ; n->op <= OP_CONTAINS; n->op++)
        if (is_sign(p, signs[n->op], signs[n->op])) {
            next(p);
            return true;
        }
    n->op = OP_IS;
    return false;
}

/* What makes no sense for a type. */
static bool fits(enum op op, enum tap_value_type type)
{
    bool order = op >= OP_LT && op <= OP_GE;
    if (op == OP_CONTAINS)
        return type == TAP_TEXT;
    return !order || type == TAP_NUMBER || type == TAP_TIME || type == TAP_BYTES;
}

/* The operator stands already in `n`, at `sign`. */
static void judge(struct parser *p, struct node *n, struct nu_text name, struct nu_text sign)
{
    enum tap_value_type type = type_of(n);
    if (!fits((enum op)n->op, type))
        mistake(p, sign.at, sign.len, NULL, "%s does not fit: %.*s is %s", signs[n->op],
                (int)name.len, name.at, tap_value_type_str(type));
    else if (!parse_value(p, n, type))
        mistake(p, p->from, word_len(p), NULL, "%.*s is %s, and this is none%s", (int)name.len,
                name.at, tap_value_type_str(type),
                type == TAP_TEXT || type == TAP_ADDR ? ": it stands in quotes" : "");
}

static bool is_value(const struct parser *p)
{
    return p->word == WORD_TEXT || p->word == WORD_VALUE || p->word == WORD_NAME;
}

static uint16_t comparison(struct parser *p)
{
    struct node n = {.op = OP_IS};
    if (p->word != WORD_NAME)
        return fail(p, p->from, word_len(p), NULL,
                    p->word == WORD_END ? "it ends where a field should stand"
                                        : "here should stand a field (--fields lists them)");
    n.field = tap_field_find(p->is);
    bool known = is_header(p->is, &n) || n.field;
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
    if (++p->depth > TAP_WHERE_DEPTH)
        return fail(p, p->from, 1, NULL, "deeper than %d", TAP_WHERE_DEPTH);
    uint16_t node;
    if (is_sign(p, "!", "not")) {
        next(p);
        struct node n = {.op = OP_NOT, .a = one(p)};
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
        struct node n = {.op = OP_AND, .a = left, .b = one(p)};
        left = add(p, &n);
    }
    return left;
}

static uint16_t either(struct parser *p)
{
    uint16_t left = both(p);
    while (!p->broken && is_sign(p, "||", "or")) {
        next(p);
        struct node n = {.op = OP_OR, .a = left, .b = both(p)};
        left = add(p, &n);
    }
    return left;
}

struct tap_where *tap_where_new(const char *text, char **error)
{
    size_t size = 0;
    struct tap_where *w = calloc(1, sizeof *w);
    nu_assert(w != NULL);
    w->arena = nu_arena_new(1024);
    struct parser p = {.where = w, .text = text, .at = text};
    p.errors = open_memstream(error, &size);
    nu_assert(p.errors != NULL);
    next(&p);
    w->root = either(&p);
    if (!p.broken && p.word != WORD_END)
        mistake(&p, p.from, word_len(&p), NULL, "behind a comparison stands &&, || or nothing");
    fclose(p.errors);
    if (p.mistakes) {
        tap_where_free(w);
        return NULL;
    }
    free(*error);
    *error = NULL;
    return w;
}

void tap_where_free(struct tap_where *w)
{
    if (!w)
        return;
    nu_arena_free(w->arena);
    free(w);
}

/* --- asking --- */

static bool same_addr(const struct node *n, const struct nu_addr *addr)
{
    return n->prefix ? nu_addr_in(addr, &n->value.addr) : nu_addr_equal(addr, &n->value.addr);
}

static bool compare_text(const struct node *n, struct nu_text is)
{
    struct nu_text want = n->value.text;
    if (n->op == OP_CONTAINS)
        return !want.len || memmem(is.at, is.len, want.at, want.len) != NULL;
    bool same = is.len == want.len && memcmp(is.at, want.at, is.len) == 0;
    return same == (n->op == OP_EQ);
}

static bool compare_number(enum op op, int64_t is, int64_t want)
{
    const bool by_op[] = {is == want, is != want, is<want, is <= want, is> want, is >= want};
    return by_op[op];
}

static bool compare(const struct node *n, const struct tap_record *r)
{
    struct tap_value is = {.number = 0};
    bool has = n->header >= 0 ? tap_header(r, n->header, n->name, &is) : n->field->get(r, &is);
    enum tap_value_type type = type_of(n);
    if (!has || n->op == OP_IS)
        return has && (type != TAP_BOOL || is.number);
    if (type == TAP_TEXT)
        return compare_text(n, is.text);
    if (type == TAP_ADDR)
        return same_addr(n, &is.addr) == (n->op == OP_EQ);
    return compare_number((enum op)n->op, is.number, n->value.number);
}

static bool ask(const struct tap_where *w, uint16_t at, const struct tap_record *r)
{
    const struct node *n = &w->node[at];
    switch (n->op) {
    case OP_AND:
        return ask(w, n->a, r) && ask(w, n->b, r);
    case OP_OR:
        return ask(w, n->a, r) || ask(w, n->b, r);
    case OP_NOT:
        return !ask(w, n->a, r);
    default:
        return compare(n, r);
    }
}

bool tap_where_passes(const struct tap_where *w, const struct tap_record *r)
{
    return ask(w, w->root, r);
}
