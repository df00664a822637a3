/* A filter made of the test's callbacks; see probe.h. Sees all; stores nothing; holds only when
 * told. */
#include "tests/filters/probe.h"

#include "core/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct probe {
    struct nu_filter f;
    struct nu_joint joint;
    struct nu_probe *conf;
};

void nu_diary_add(struct nu_diary *diary, const char *fmt, ...)
{
    if (!diary)
        return;
    va_list ap;
    va_start(ap, fmt);
    size_t room = sizeof diary->text - diary->len;
    int n = snprintf(diary->text + diary->len, room, "%s", diary->len ? " " : "");
    n += vsnprintf(diary->text + diary->len + n, room - (size_t)n, fmt, ap);
    va_end(ap);
    nu_assert((size_t)n < room);
    diary->len += (size_t)n;
}

const char *nu_diary_read(struct nu_diary *diary)
{
    static char page[sizeof diary->text];
    memcpy(page, diary->text, diary->len);
    page[diary->len] = 0;
    diary->len = 0;
    return page;
}

struct nu_probe *nu_probe_of(const struct nu_filter *f)
{
    return ((const struct probe *)f)->conf;
}

struct nu_joint *nu_probe_joint_of(struct nu_filter *f)
{
    return &((struct probe *)f)->joint;
}

static void note_event(const struct nu_probe *p, enum nu_dir dir, const struct nu_ev *ev)
{
    char arrow = dir == NU_FWD ? '>' : '<';
    if (ev->kind == NU_DATA)
        nu_diary_add(p->diary, "%s%c%.*s", p->name, arrow, (int)ev->u.data.len,
                     (const char *)ev->u.data.data);
    else if (ev->kind == NU_END)
        nu_diary_add(p->diary, "%s%cend:%s", p->name, arrow, nu_how_str(ev->u.end.how));
    else
        nu_diary_add(p->diary, "%s%c%s", p->name, arrow, nu_kind_str(ev->kind));
}

static enum nu_open probe_open(struct nu_filter *f, const void *conf)
{
    struct nu_probe *p = (struct nu_probe *)conf;
    ((struct probe *)f)->conf = p;
    p->self = f;
    nu_diary_add(p->diary, "%s:open", p->name);
    return p->open ? p->open(f) : NU_OPEN;
}

static void probe_start(struct nu_filter *f)
{
    struct nu_probe *p = nu_probe_of(f);
    nu_diary_add(p->diary, "%s:start", p->name);
    if (p->start)
        p->start(f);
}

/* An end without a callback swallows: bytes are freed, END is done. */
static void plain_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool last = ev->kind == NU_END;
    if (f->next[dir] || f->type->joint) {
        nu_forward(f, dir, ev);
        return;
    }
    nu_ev_free(ev);
    if (last)
        nu_done(f, dir);
}

static void probe_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_probe *p = nu_probe_of(f);
    note_event(p, dir, ev);
    if (p->event)
        p->event(f, dir, ev);
    else
        plain_event(f, dir, ev);
}

static void probe_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct nu_probe *p = nu_probe_of(f);
    nu_diary_add(p->diary, "%s:%s%c", p->name, go ? "go" : "stop", dir == NU_FWD ? '>' : '<');
    if (p->flow)
        p->flow(f, dir, go);
}

static void probe_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct nu_probe *p = nu_probe_of(f);
    nu_diary_add(p->diary, "%s:%s", p->name, signal == NU_DRAIN ? "drain" : "reload");
    if (p->signal)
        p->signal(f, signal);
}

static void probe_close(struct nu_filter *f)
{
    struct nu_probe *p = nu_probe_of(f);
    nu_diary_add(p->diary, "%s:close", p->name);
    if (p->close)
        p->close(f);
    else if (f->type->joint)
        nu_part(nu_probe_joint_of(f), nu_chain_result(f->chain));
    p->self = NULL;
}

#define PROBE(name_, left, right)                                                                  \
    .name = name_, .doc = "The test's callbacks.", .size = sizeof(struct probe),                   \
    .face = NU_FACES(left, right), .flags = NU_F_INTERNAL | NU_F_TEST,                             \
    .sees = {NU_SEES_ALL, NU_SEES_ALL}, .open = probe_open, .start = probe_start,                  \
    .event = probe_event, .flow = probe_flow, .signal = probe_signal, .close = probe_close

const struct nu_filter_type nu_probe = {PROBE("probe", NU_SAME, NU_SAME)};
const struct nu_filter_type nu_probe_left = {PROBE("left", NU_FACE_NONE, NU_FACE_BYTES)};
const struct nu_filter_type nu_probe_right = {PROBE("right", NU_FACE_BYTES, NU_FACE_NONE)};
const struct nu_filter_type nu_probe_joint = {
    PROBE("joint", NU_SAME, NU_SAME),
    .joint = offsetof(struct probe, joint),
};

struct nu_ev nu_text_ev(struct nu_filter *f, const char *text)
{
    return nu_ev_data(nu_slice_copy(nu_filter_loop(f)->blocks, text, strlen(text)));
}

/* nu_call takes no argument; a test runs on one thread. */
static struct {
    enum nu_dir dir;
    const char *text;
    enum nu_cause cause;
    bool on;
} said;

static void say(struct nu_filter *f)
{
    struct nu_ev ev = nu_text_ev(f, said.text);
    nu_forward(f, said.dir, &ev);
}

void nu_say(struct nu_filter *f, enum nu_dir dir, const char *text)
{
    said.dir = dir;
    said.text = text;
    nu_call(f, say);
}

static void say_end(struct nu_filter *f)
{
    nu_forward_end(f, said.dir, nu_result_of(said.cause));
}

void nu_say_end(struct nu_filter *f, enum nu_dir dir, enum nu_cause cause)
{
    said.dir = dir;
    said.cause = cause;
    nu_call(f, say_end);
}

static void hold(struct nu_filter *f)
{
    if (said.on)
        nu_hold(f, said.dir);
    else
        nu_release(f, said.dir);
}

void nu_outside_hold(struct nu_filter *f, enum nu_dir dir, bool on)
{
    said.dir = dir;
    said.on = on;
    nu_call(f, hold);
}
