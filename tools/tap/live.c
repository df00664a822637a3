/* Live capture; see live.h. */
#include "tools/tap/live.h"

#include "core/assert.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH   1024                /* packets between two looks at whether to stop */
#define LATE_NS INT64_C(1000000000) /* that a packet may stay in the kernel's ring, at most */

struct tap_live {
    pcap_t *pcap;
    const char *interface;
    uint32_t link;
    int64_t tick_ns; /* of the stamps' fractions */
    struct tap *tap;
};

static bool complain(const struct tap_live *l, const char *what, int code)
{
    const char *why = l->pcap ? pcap_geterr(l->pcap) : "";
    fprintf(stderr, "nuncio-tap: %s: %s: %s\n", l->interface, what,
            *why ? why : pcap_statustostr(code));
    if (code == PCAP_ERROR_PERM_DENIED)
        fputs("Capturing takes rights: run it as root (it gives them up at once), or give the "
              "program\nCAP_NET_RAW: setcap cap_net_raw+ep nuncio-tap\n",
              stderr);
    return false;
}

static bool activate(struct tap_live *l, unsigned snaplen)
{
    pcap_set_snaplen(l->pcap, (int)snaplen);
    pcap_set_promisc(l->pcap, 0);
    pcap_set_timeout(l->pcap, TAP_LIVE_MS);
    pcap_set_buffer_size(l->pcap, TAP_LIVE_BUFFER);
    pcap_set_tstamp_precision(l->pcap, PCAP_TSTAMP_PRECISION_NANO);
    int code = pcap_activate(l->pcap);
    if (code < 0)
        return complain(l, "cannot capture", code);
    bool nano = pcap_get_tstamp_precision(l->pcap) == PCAP_TSTAMP_PRECISION_NANO;
    l->tick_ns = nano ? 1 : 1000;
    int dlt = pcap_datalink(l->pcap);
    l->link = dlt == DLT_RAW ? NU_LINK_RAW : (uint32_t)dlt;
    return true;
}

static bool set_expression(struct tap_live *l, const char *expression)
{
    struct bpf_program program;
    if (!*expression)
        return true;
    if (pcap_compile(l->pcap, &program, expression, 1, PCAP_NETMASK_UNKNOWN)) {
        fprintf(stderr, "nuncio-tap: \"%s\": %s\n", expression, pcap_geterr(l->pcap));
        return false;
    }
    int code = pcap_setfilter(l->pcap, &program);
    pcap_freecode(&program);
    return code == 0 || complain(l, "cannot filter", code);
}

struct tap_live *tap_live_open(const char *interface, const char *expression, unsigned snaplen)
{
    char error[PCAP_ERRBUF_SIZE] = "";
    struct tap_live *l = calloc(1, sizeof *l);
    nu_assert(l != NULL);
    l->interface = interface;
    l->pcap = pcap_create(interface, error);
    if (!l->pcap)
        fprintf(stderr, "nuncio-tap: %s: %s\n", interface, error);
    if (l->pcap && activate(l, snaplen) && set_expression(l, expression) &&
        pcap_setnonblock(l->pcap, 1, error) == 0)
        return l;
    tap_live_free(l);
    return NULL;
}

static void on_packet(u_char *user, const struct pcap_pkthdr *head, const u_char *bytes)
{
    const struct tap_live *l = (const void *)user;
    int64_t ns = head->ts.tv_sec * INT64_C(1000000000) + head->ts.tv_usec * l->tick_ns;
    tap_packet(l->tap, &(struct nu_capture_event){.kind = NU_CAPTURE_PACKET,
                                                  .data = bytes,
                                                  .len = head->caplen,
                                                  .wire_len = head->len,
                                                  .link = l->link,
                                                  .time_ns = ns});
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts); /* the one that packets are stamped by */
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

bool tap_live_run(struct tap_live *l, const struct tap_live_job *job, struct tap *tap)
{
    struct pollfd readable = {.fd = pcap_get_selectable_fd(l->pcap), .events = POLLIN};
    l->tap = tap;
    while (!*job->stop) {
        int64_t began_ns = now_ns(); /* what comes while it stands still is not late */
        int n = pcap_dispatch(l->pcap, BATCH, on_packet, (u_char *)l);
        if (n < 0 && n != PCAP_ERROR_BREAK)
            return complain(l, "cannot go on", n);
        if (n == 0)
            tap_tick(tap, began_ns - LATE_NS);
        job->idle(job->idle_ctx);
        if (n == 0)
            poll(&readable, 1, TAP_LIVE_MS);
    }
    return true;
}

struct tap_live_figures tap_live_figures(const struct tap_live *l)
{
    struct pcap_stat stat = {0};
    pcap_stats(l->pcap, &stat);
    return (struct tap_live_figures){stat.ps_drop, stat.ps_ifdrop};
}

void tap_live_free(struct tap_live *l)
{
    if (l && l->pcap)
        pcap_close(l->pcap);
    free(l);
}
