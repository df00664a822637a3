/* c-ares on a loop; see resolve.h. Its callbacks may run inside its own calls (literals, destroy),
 * so an answer is only written down there and told by a task of the loop. */
#include "l4/resolve.h"

#include "core/assert.h"
#include "core/loop.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"

/* A c-ares channel. One that was made from an outdated resolv.conf answers what it was asked, then
 * goes. */
struct channel {
    struct nu_list link;
    struct nu_resolver *resolver;
    ares_channel ares;
    unsigned asked;
};

/* A descriptor of c-ares in the loop's epoll set. Kept for another when c-ares closes it: an event
 * of the same wake-up may still name it. */
struct watched {
    struct nu_io io; /* fd -1: free */
    struct nu_list link;
    struct channel *channel;
};

/* WAITING -> ASKED -> ANSWERED; ASKED -> ORPHANED. */
enum query_state {
    QUERY_WAITING,
    QUERY_ASKED,
    QUERY_ANSWERED, /* its task is queued */
    QUERY_ORPHANED, /* cancelled; c-ares still has it */
};

struct nu_query {
    struct nu_task task; /* waiting: in the resolver's list */
    struct nu_resolver *resolver;
    struct channel *channel; /* that it was asked on */
    enum query_state state;
    bool asking; /* ares_getaddrinfo is on the stack: what answers now has sent nothing */
    nu_answer_fn *fn;
    void *ctx;
    struct nu_addr *addrs;
    struct nu_answer answer;
    uint16_t port;
    char host[];
};

struct nu_resolver {
    struct nu_loop *loop;
    struct nu_resolver_conf conf;
    struct nu_list channels, sockets, waiting;
    struct channel *current; /* NULL: none could be made */
    struct nu_task pump;
    struct nu_timer timer;
    unsigned inflight;
    struct stat seen; /* resolv.conf when `current` was made */
};

static void rearm(struct nu_resolver *r)
{
    int64_t soonest = -1;
    /* NOLINTNEXTLINE: the analyzer does not see that what is freed was unlinked before */
    nu_list_each (it, &r->channels) {
        struct channel *ch = nu_container(it, struct channel, link);
        struct timeval tv, *due = ares_timeout(ch->ares, NULL, &tv);
        int64_t ms = due ? (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1 : -1;
        if (ms >= 0 && (soonest < 0 || ms < soonest))
            soonest = ms;
    }
    if (soonest >= 0)
        nu_timer_arm(&r->loop->timers, &r->timer, r->loop->now_ms + soonest);
    else
        nu_timer_disarm(&r->loop->timers, &r->timer);
}

static void channel_free(struct channel *ch)
{
    nu_list_del(&ch->link);
    ares_destroy(ch->ares); /* closes its descriptors */
    free(ch);
}

static void free_retired(struct nu_resolver *r)
{
    nu_list_each (it, &r->channels) {
        struct channel *ch = nu_container(it, struct channel, link);
        if (ch != r->current && ch->asked == 0)
            channel_free(ch);
    }
}

static void socket_ready(struct nu_io *io, uint32_t events)
{
    struct watched *w = nu_container(io, struct watched, io);
    if (io->fd < 0)
        return;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & EPOLLOUT;
    struct nu_resolver *r = w->channel->resolver;
    ares_process_fd(w->channel->ares, in ? io->fd : ARES_SOCKET_BAD,
                    out ? io->fd : ARES_SOCKET_BAD);
    rearm(r);
}

static void timer_fired(struct nu_timer *timer)
{
    struct nu_resolver *r = nu_container(timer, struct nu_resolver, timer);
    nu_list_each (it, &r->channels)
        ares_process_fd(nu_container(it, struct channel, link)->ares, ARES_SOCKET_BAD,
                        ARES_SOCKET_BAD);
    rearm(r);
}

/* The entry of a descriptor, or a free one; made where there is none. */
static struct watched *watched_of(struct nu_resolver *r, int fd)
{
    struct watched *spare = NULL;
    nu_list_each (it, &r->sockets) {
        struct watched *w = nu_container(it, struct watched, link);
        if (w->io.fd == fd)
            return w;
        if (w->io.fd < 0)
            spare = w;
    }
    if (spare)
        return spare;
    spare = calloc(1, sizeof *spare);
    nu_assert(spare != NULL);
    spare->io = (struct nu_io){socket_ready, -1};
    nu_list_add_tail(&r->sockets, &spare->link);
    return spare;
}

/* c-ares says what it waits for; both false just before it closes the descriptor. Level-triggered,
 * other than nu_io_add: it does not read until the socket is empty. */
static void socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct channel *ch = ctx;
    int epoll_fd = ch->resolver->loop->epoll_fd;
    struct watched *w = watched_of(ch->resolver, fd);
    struct epoll_event ev = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u),
                             .data.ptr = &w->io};
    bool known = w->io.fd == fd, wanted = readable || writable;
    if (wanted)
        epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    else if (known)
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    w->io.fd = wanted ? fd : -1;
    w->channel = ch;
}

static struct channel *channel_new(struct nu_resolver *r)
{
    struct channel *ch = calloc(1, sizeof *ch);
    nu_assert(ch != NULL);
    ch->resolver = r;
    struct ares_options o = {.timeout =
                                 r->conf.timeout_ms ? r->conf.timeout_ms : NU_RESOLVE_TIMEOUT_MS,
                             .tries = r->conf.tries ? r->conf.tries : NU_RESOLVE_TRIES,
                             .lookups = (char[]){"fb"}, /* files, then DNS */
                             .sock_state_cb = socket_state,
                             .sock_state_cb_data = ch,
                             .resolvconf_path = (char *)r->conf.resolv_conf};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (r->conf.resolv_conf)
        mask |= ARES_OPT_RESOLVCONF;
    if (r->conf.servers || r->conf.absolute)
        mask |= ARES_OPT_DOMAINS; /* none: nor does a test's server know a search list */
    if (ares_init_options(&ch->ares, &o, mask) != ARES_SUCCESS) {
        free(ch);
        return NULL;
    }
    if (r->conf.servers)
        ares_set_servers_ports_csv(ch->ares, r->conf.servers);
    nu_list_add_tail(&r->channels, &ch->link);
    return ch;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static const char *resolv_conf(const struct nu_resolver *r)
{
    return r->conf.resolv_conf ? r->conf.resolv_conf : RESOLV_CONF;
}

/* A new channel where there is none, or resolv.conf is another one. c-ares reads /etc/hosts anew
 * for each question by itself. */
static void refresh(struct nu_resolver *r)
{
    struct stat now = {0};
    if (stat(resolv_conf(r), &now) != 0)
        now = (struct stat){0};
    if (r->current && same_file(&now, &r->seen))
        return;
    r->seen = now;
    r->current = channel_new(r);
    free_retired(r);
}

static int compare_addrs(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct nu_addr));
}

/* Sorted and each once; a name server that turns its list round changes nothing. */
static size_t sort_addrs(struct nu_addr *addrs, size_t count)
{
    size_t kept = 0;
    qsort(addrs, count, sizeof *addrs, compare_addrs);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !nu_addr_equal(&addrs[kept - 1], &addrs[i]))
            addrs[kept++] = addrs[i];
    return kept;
}

static void take_addrs(struct nu_query *q, const struct ares_addrinfo *info)
{
    size_t n = 0;
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
        n++;
    q->addrs = calloc(n + 1, sizeof *q->addrs);
    nu_assert(q->addrs != NULL);
    n = 0;
    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
        struct sockaddr_storage ss = {0};
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
        if (n == NU_RESOLVE_MAX_ADDRS || node->ai_addrlen > sizeof ss)
            continue;
        memcpy(&ss, node->ai_addr, node->ai_addrlen);
        nu_addr_from_sockaddr(&q->addrs[n], &ss, node->ai_addrlen);
        q->addrs[n++].port = q->port;
    }
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl; /* each alias has its own (RFC 2181 5.2) */
    q->answer.ttl_s = ttl > 0 ? (uint32_t)ttl : 0;
    q->answer.addrs = q->addrs;
    q->answer.count = sort_addrs(q->addrs, n);
}

/* c-ares says ECONNREFUSED also where all servers answered SERVFAIL or REFUSED. */
static struct nu_answer failure(int status)
{
    static const struct {
        int status;
        enum nu_err err;
        const char *text;
    } rows[] = {
        {ARES_ENOTFOUND,    NU_ERR_MISSING, "no such name"                              },
        {ARES_ENODATA,      NU_ERR_MISSING, "the name has no addresses"                 },
        {ARES_ETIMEOUT,     NU_ERR_SYSTEM,  "no answer from the name servers"           },
        {ARES_ESERVFAIL,    NU_ERR_SYSTEM,  "the name servers failed"                   },
        {ARES_EREFUSED,     NU_ERR_SYSTEM,  "the name servers refused to answer"        },
        {ARES_ECONNREFUSED, NU_ERR_SYSTEM,  "the name servers refuse, or fail to answer"},
        {ARES_EBADRESP,     NU_ERR_SYSTEM,  "the name servers' answer is malformed"     },
        {ARES_EBADNAME,     NU_ERR_MISSING, "the name is malformed"                     },
        {ARES_EFILE,        NU_ERR_SYSTEM,  "a file of the resolver cannot be read"     },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return (struct nu_answer){
                .err = rows[i].err, .error = rows[i].text, .empty = status == ARES_ENODATA};
    return (struct nu_answer){.err = NU_ERR_SYSTEM, .error = ares_strerror(status)};
}

static void query_free(struct nu_query *q)
{
    free(q->addrs);
    free(q);
}

static void tell(struct nu_task *task)
{
    struct nu_query *q = nu_container(task, struct nu_query, task);
    q->fn(q->ctx, &q->answer);
    query_free(q);
}

static void answered(struct nu_query *q)
{
    q->state = QUERY_ANSWERED;
    nu_loop_ready(q->resolver->loop, &q->task);
}

static void ares_answered(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    struct nu_query *q = ctx;
    q->channel->asked--;
    q->resolver->inflight--;
    nu_loop_ready(q->resolver->loop, &q->resolver->pump);
    if (q->state == QUERY_ORPHANED) {
        ares_freeaddrinfo(info);
        query_free(q);
        return;
    }
    if (status == ARES_SUCCESS)
        take_addrs(q, info);
    if (status != ARES_SUCCESS || q->answer.count == 0)
        q->answer = failure(status ? status : ARES_ENODATA);
    else
        q->answer.error = "";
    q->answer.local = q->asking;
    ares_freeaddrinfo(info);
    answered(q);
}

static void ask(struct nu_query *q)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct nu_resolver *r = q->resolver;
    if (!r->current) {
        q->answer = failure(ARES_EFILE);
        answered(q);
        return;
    }
    q->state = QUERY_ASKED;
    q->channel = r->current;
    q->channel->asked++;
    r->inflight++;
    q->asking = true;
    ares_getaddrinfo(q->channel->ares, q->host, NULL, &hints, ares_answered, q);
    q->asking = false;
}

/* Asks what waits, as far as there is room. */
static void pump(struct nu_task *task)
{
    struct nu_resolver *r = nu_container(task, struct nu_resolver, pump);
    struct nu_list *node;
    free_retired(r);
    if (!nu_list_empty(&r->waiting))
        refresh(r);
    while (r->inflight < r->conf.max_inflight && (node = nu_list_pop(&r->waiting)))
        ask(nu_container(node, struct nu_query, task.link));
    rearm(r);
}

struct nu_resolver *nu_resolver_new(struct nu_loop *loop, const struct nu_resolver_conf *conf)
{
    struct nu_resolver *r = calloc(1, sizeof *r);
    nu_assert(r != NULL && ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
    r->loop = loop;
    r->conf = *conf;
    if (!r->conf.max_inflight)
        r->conf.max_inflight = NU_RESOLVE_MAX_INFLIGHT;
    r->pump.run = pump;
    r->timer.fn = timer_fired;
    nu_list_init(&r->channels);
    nu_list_init(&r->sockets);
    nu_list_init(&r->waiting);
    return r;
}

void nu_resolver_free(struct nu_resolver *r)
{
    if (!r)
        return;
    nu_assert(nu_list_empty(&r->waiting));
    nu_list_each (it, &r->channels)
        channel_free(nu_container(it, struct channel, link));
    nu_assert(r->inflight == 0);
    nu_task_cancel(&r->pump);
    nu_timer_disarm(&r->loop->timers, &r->timer);
    nu_list_each (it, &r->sockets)
        free(nu_container(it, struct watched, link));
    ares_library_cleanup();
    free(r);
}

struct nu_query *nu_resolve(struct nu_resolver *r, const char *host, uint16_t port,
                            nu_answer_fn *fn, void *ctx)
{
    size_t len = strlen(host) + 1;
    struct nu_query *q = calloc(1, sizeof *q + len);
    nu_assert(q != NULL);
    q->task.run = tell;
    q->resolver = r;
    q->fn = fn;
    q->ctx = ctx;
    q->port = port;
    memcpy(q->host, host, len);
    nu_list_add_tail(&r->waiting, &q->task.link);
    nu_loop_ready(r->loop, &r->pump);
    return q;
}

void nu_query_cancel(struct nu_query *q)
{
    if (!q)
        return;
    if (q->state == QUERY_ASKED) {
        q->state = QUERY_ORPHANED;
        return;
    }
    nu_task_cancel(&q->task);
    query_free(q);
}
