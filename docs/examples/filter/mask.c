/* mask: a word becomes stars, wherever it passes: on plain TCP, within TLS, in bodies of HTTP.
 *
 * Faces: any. Sees: all. Stores: a direction's last bytes while they may be the beginning of the
 * word, 63 at most. END, and all that is no DATA, sends these first. Holds nothing; a timer sends
 * what was kept when nothing follows. `close` has nothing to free. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/registry.h"

#include <string.h>

#define WORD_MAX    64 /* bytes: what a direction keeps is less */
#define PATIENCE_MS 50 /* for the rest of a word: what says more only when answered must go on */

struct mask {
    struct nu_filter filter; /* first member */
    const char *word;
    size_t word_len, kept_len[2]; /* by direction */
    char kept[2][WORD_MAX];
};

static void send_kept(struct nu_filter *f, enum nu_dir dir)
{
    struct mask *m = (struct mask *)f;
    size_t len = m->kept_len[dir];
    m->kept_len[dir] = 0;
    if (len > 0)
        nu_forward_data(f, dir, nu_slice_copy(nu_filter_loop(f)->blocks, m->kept[dir], len));
}

static void on_patience_over(struct nu_filter *f)
{
    send_kept(f, NU_FWD);
    send_kept(f, NU_REV);
}

/* How many bytes at the end may be the beginning of the word. */
static size_t begun(const struct mask *m, const uint8_t *at, size_t len)
{
    size_t n = len < m->word_len - 1 ? len : m->word_len - 1;
    while (n > 0 && memcmp(at + len - n, m->word, n) != 0)
        n--;
    return n;
}

static void mask_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct mask *m = (struct mask *)f;
    if (ev->kind != NU_DATA) {
        send_kept(f, dir);
        nu_forward(f, dir, ev);
        return;
    }
    size_t had = m->kept_len[dir], len = had + ev->u.data.len;
    struct nu_block *block = nu_block_get(nu_filter_loop(f)->blocks, len);
    uint8_t *text = nu_block_tail(block), *at = text;
    memcpy(mempcpy(text, m->kept[dir], had), ev->u.data.data, ev->u.data.len);
    while ((at = memmem(at, (size_t)(text + len - at), m->word, m->word_len)))
        memset(at, '*', m->word_len);
    m->kept_len[dir] = begun(m, text, len);
    memcpy(m->kept[dir], text + len - m->kept_len[dir], m->kept_len[dir]);
    if (m->kept_len[dir] > 0)
        nu_timer_set(f, 0, PATIENCE_MS, on_patience_over);
    if (len > m->kept_len[dir])
        nu_forward_data(f, dir, nu_block_freeze(block, len - m->kept_len[dir]));
    nu_block_unref(block);
    nu_ev_free(ev);
}

static enum nu_open mask_open(struct nu_filter *f, const void *conf)
{
    struct mask *m = (struct mask *)f;
    m->word = *(const char *const *)conf;
    m->word_len = strnlen(m->word, WORD_MAX);
    return NU_OPEN;
}

static const struct nu_field fields[] = {
    {.key = "word",
     .type = NU_STRING,
     .flags = NU_REQUIRED | NU_NONEMPTY,
     .doc = "At most 64 bytes."},
    {0}
};
static const struct nu_schema schema = {.name = "mask",
                                        .doc = "Makes a word stars.",
                                        .size = sizeof(const char *),
                                        .fields = fields,
                                        .scalar = "word"};
static const struct nu_filter_type mask = {
    .name = "mask",
    .doc = "Makes a word stars.",
    .size = sizeof(struct mask),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .schema = &schema,
    .open = mask_open,
    .event = mask_event
};
NU_REGISTER_FILTER(mask)
