/* Markdown to mdoc, line by line; see mdoc.h. One block is open at a time; a line says which it
 * belongs to, and another kind closes it. */
#include "tools/nuncio/mdoc.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_CELLS   8 /* columns of a table; ours have five at most */
#define CODE_INDENT 4
#define SHORT_WORD  3 /* letters: mdoc's macros have two or three */

enum block { NONE, PARAGRAPH, ITEMS, CODE, FENCED, TABLE };

struct slice {
    const char *at;
    size_t len;
};

struct page {
    FILE *out;
    enum block block;
    bool fresh;                   /* right below a heading: the first paragraph needs no mark */
    struct slice head[MAX_CELLS]; /* of the table */
    size_t columns;
    unsigned row; /* of the table; 0 is its head */
};

/* --- text --- */

/* Returns how many bytes it took. */
static size_t put_char(FILE *out, const char *text, size_t len)
{
    if (*text == '\\' && len > 1 && text[1] == '|') {
        fputc('|', out);
        return 2;
    }
    if (*text == '\\')
        fputs("\\e", out);
    else if (*text == '-')
        fputs("\\-", out);
    else
        fputc(*text, out);
    return 1;
}

static void guard(FILE *out, const char *text, size_t len)
{
    if (len && (*text == '.' || *text == '\''))
        fputs("\\&", out);
}

void nu_mdoc_plain(FILE *out, const char *text, size_t len)
{
    guard(out, text, len);
    for (size_t i = 0; i < len;)
        i += put_char(out, text + i, len - i);
}

/* Bytes of "](address)" at the end of a link's words, or 0. */
static size_t link_end(const char *text, size_t len)
{
    const char *end = len > 2 && memcmp(text, "](", 2) == 0 ? memchr(text, ')', len) : NULL;
    return end ? (size_t)(end + 1 - text) : 0;
}

/* Bytes of markup at this place, whose form is put; or 0. */
static size_t markup(FILE *out, const char *text, size_t len, bool *code, bool *bold, bool *link)
{
    size_t end;
    if (*text == '`' || (!*code && len > 1 && memcmp(text, "**", 2) == 0)) {
        bool *state = *text == '`' ? code : bold;
        *state = !*state;
        fputs(*state ? "\\fB" : "\\fR", out);
        return *text == '`' ? 1 : 2;
    }
    if (*code)
        return 0;
    if (*text == '[' && memchr(text, ']', len)) {
        const char *close = memchr(text, ']', len);
        *link = link_end(close, len - (size_t)(close - text)) > 0;
        return *link;
    }
    end = *link && *text == ']' ? link_end(text, len) : 0;
    *link = *link && !end;
    return end;
}

static void put_inline(FILE *out, const char *text, size_t len, bool sentences)
{
    bool code = false, bold = false, link = false;
    guard(out, text, len);
    for (size_t i = 0; i < len;) {
        size_t n = markup(out, text + i, len - i, &code, &bold, &link);
        bool ends = sentences && !n && !code && i + 1 < len && strchr(".?!", text[i]);
        i += n ? n : put_char(out, text + i, len - i);
        if (!ends || text[i] != ' ')
            continue;
        fputc('\n', out);
        i++;
        guard(out, text + i, len - i);
    }
    if (code || bold)
        fputs("\\fR", out);
}

void nu_mdoc_text(FILE *out, const char *text, size_t len)
{
    put_inline(out, text, len, true);
}

/* Words that could be macros are made none. */
static void put_heading(FILE *out, const char *name, size_t len, bool capitals)
{
    for (size_t i = 0; i < len;) {
        size_t word = 0;
        while (i + word < len && name[i + word] != ' ')
            word++;
        fputs(word <= SHORT_WORD ? " \\&" : " ", out);
        for (; word; word--, i++) {
            char c = capitals ? (char)toupper((unsigned char)name[i]) : name[i];
            put_char(out, &c, 1);
        }
        while (i < len && name[i] == ' ')
            i++;
    }
    fputc('\n', out);
}

void nu_mdoc_section(FILE *out, const char *name, size_t len)
{
    fputs(".Sh", out);
    put_heading(out, name, len, true);
}

/* --- blocks --- */

static void close_block(struct page *p)
{
    static const char *const ends[] = {[NONE] = "",      [PARAGRAPH] = "",   [ITEMS] = ".El\n",
                                       [CODE] = ".Ed\n", [FENCED] = ".Ed\n", [TABLE] = ".El\n"};
    fputs(ends[p->block], p->out);
    p->block = NONE;
}

static void open_block(struct page *p, enum block block)
{
    static const char *const begins[] = {
        [NONE] = "",
        [PARAGRAPH] = ".Pp\n",
        [ITEMS] = ".Bl -bullet\n",
        [CODE] = ".Bd -literal -offset indent\n",
        [FENCED] = ".Bd -literal -offset indent\n",
        [TABLE] = ".Bl -tag -width Ds\n",
    };
    if (p->block == block)
        return;
    close_block(p);
    if (block != PARAGRAPH || !p->fresh)
        fputs(begins[block], p->out);
    p->fresh = false;
    p->block = block;
    p->row = 0;
}

static void put_line(struct page *p, struct slice line)
{
    nu_mdoc_text(p->out, line.at, line.len);
    fputc('\n', p->out);
}

static void code_line(struct page *p, struct slice line)
{
    nu_mdoc_plain(p->out, line.at, line.len);
    fputc('\n', p->out);
}

static void heading(struct page *p, struct slice line)
{
    size_t marks = 0;
    while (marks < line.len && line.at[marks] == '#')
        marks++;
    close_block(p);
    struct slice name = {line.at + marks + 1, line.len > marks ? line.len - marks - 1 : 0};
    p->fresh = true;
    if (marks == 2)
        nu_mdoc_section(p->out, name.at, name.len);
    if (marks > 2) {
        fputs(".Ss", p->out);
        put_heading(p->out, name.at, name.len, false);
    }
}

/* --- tables: the first column is the tag, the last one the text, those between stand before it ---
 */

static struct slice trimmed(const char *at, size_t len)
{
    while (len && at[0] == ' ')
        at++, len--;
    while (len && at[len - 1] == ' ')
        len--;
    return (struct slice){at, len};
}

/* "| a | b |": a bar that is escaped belongs to the cell. */
static size_t split(struct slice line, struct slice cells[MAX_CELLS])
{
    size_t n = 0, begin = 1;
    for (size_t i = 1; i < line.len && n < MAX_CELLS; i++) {
        if (line.at[i] != '|' || line.at[i - 1] == '\\')
            continue;
        cells[n++] = trimmed(line.at + begin, i - begin);
        begin = i + 1;
    }
    return n;
}

static bool says_nothing(struct slice cell)
{
    return cell.len == 0 || (cell.len == 1 && *cell.at == '-');
}

static void put_middle(struct page *p, const struct slice *cells, size_t count)
{
    bool any = false;
    for (size_t i = 1; i + 1 < count; i++) {
        if (says_nothing(cells[i]))
            continue;
        fputs(any ? "; " : "(", p->out);
        if (i < p->columns)
            nu_mdoc_plain(p->out, p->head[i].at, p->head[i].len);
        fputs(": ", p->out);
        put_inline(p->out, cells[i].at, cells[i].len, false);
        any = true;
    }
    if (any)
        fputs(")\n", p->out);
}

static void table_row(struct page *p, struct slice line)
{
    struct slice cells[MAX_CELLS];
    size_t count = split(line, cells);
    unsigned row = p->row++;
    if (row == 0) {
        memcpy(p->head, cells, count * sizeof *cells);
        p->columns = count;
    }
    if (row < 2 || !count)
        return;
    fputs(".It ", p->out);
    put_inline(p->out, cells[0].at, cells[0].len, false);
    fputc('\n', p->out);
    put_middle(p, cells, count);
    if (count > 1 && !says_nothing(cells[count - 1]))
        put_line(p, cells[count - 1]);
}

/* --- lines --- */

static bool begins(struct slice line, const char *with)
{
    size_t len = strlen(with);
    return line.len >= len && memcmp(line.at, with, len) == 0;
}

static void list_line(struct page *p, struct slice line)
{
    if (begins(line, "- ")) {
        open_block(p, ITEMS);
        fputs(".It\n", p->out);
    }
    put_line(p, (struct slice){line.at + 2, line.len - 2});
}

static void plain_line(struct page *p, struct slice line)
{
    if (line.len == 0)
        close_block(p);
    else if (begins(line, "#"))
        heading(p, line);
    else if (begins(line, "- ") || (p->block == ITEMS && begins(line, "  ")))
        list_line(p, line);
    else if (begins(line, "    ")) {
        open_block(p, CODE);
        code_line(p, (struct slice){line.at + CODE_INDENT, line.len - CODE_INDENT});
    } else if (begins(line, "|")) {
        open_block(p, TABLE);
        table_row(p, line);
    } else {
        open_block(p, PARAGRAPH);
        put_line(p, line);
    }
}

static void any_line(struct page *p, struct slice line)
{
    bool fence = begins(line, "```");
    if (fence && p->block == FENCED)
        close_block(p);
    else if (fence)
        open_block(p, FENCED);
    else if (p->block == FENCED)
        code_line(p, line);
    else
        plain_line(p, line);
}

void nu_mdoc_markdown(FILE *out, const char *text, size_t len)
{
    struct page page = {.out = out, .fresh = true};
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        any_line(&page, (struct slice){text, n});
        n += end != NULL;
        text += n;
        len -= n;
    }
    close_block(&page);
}
