/* Expressions, compiled; see bpf.h. */
#include "tools/tap/bpf.h"

#include "core/assert.h"
#include "protocols/capture/link.h"

#include <pcap/pcap.h>
#include <stdlib.h>

/* LINKTYPE_* in files, DLT_* in libpcap: the same, but for raw IP. */
static const struct {
    uint32_t link;
    int dlt;
} types[] = {
    {NU_LINK_ETHERNET,   DLT_EN10MB              },
    {NU_LINK_NULL,       DLT_NULL                },
    {NU_LINK_PPP,        DLT_PPP                 },
    {NU_LINK_PPP_HDLC,   DLT_PPP_SERIAL          },
    {NU_LINK_PPP_ETHER,  DLT_PPP_ETHER           },
    {NU_LINK_RAW,        DLT_RAW                 },
    {NU_LINK_LOOP,       DLT_LOOP                },
    {NU_LINK_SLL,        DLT_LINUX_SLL           },
    {NU_LINK_IPV4,       DLT_IPV4                },
    {NU_LINK_IPV6,       DLT_IPV6                },
    {NU_LINK_NFLOG,      DLT_NFLOG               },
    {NU_LINK_SLL2,       DLT_LINUX_SLL2          },
    {12,                 DLT_RAW                 }, /* see protocols/capture/link.c */
    {14,                 DLT_RAW                 },
    {NU_LINK_CISCO_HDLC, DLT_C_HDLC              },
    {NU_LINK_WLAN,       DLT_IEEE802_11          },
    {NU_LINK_PRISM,      DLT_PRISM_HEADER        },
    {NU_LINK_RADIOTAP,   DLT_IEEE802_11_RADIO    },
    {NU_LINK_AVS,        DLT_IEEE802_11_RADIO_AVS},
    {NU_LINK_PPI,        DLT_PPI                 },
};

#define TYPES (sizeof types / sizeof *types)

struct tap_bpf {
    struct bpf_program program[TYPES];
    bool fits[TYPES];
};

/* NULL, or what libpcap says. */
static const char *compile(struct tap_bpf *bpf, size_t i, const char *expression)
{
    static char text[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_open_dead(types[i].dlt, NU_CAPTURE_PACKET_MAX);
    nu_assert(pcap != NULL);
    bpf->fits[i] = pcap_compile(pcap, &bpf->program[i], expression, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!bpf->fits[i])
        snprintf(text, sizeof text, "%s", pcap_geterr(pcap));
    pcap_close(pcap);
    return bpf->fits[i] ? NULL : text;
}

struct tap_bpf *tap_bpf_new(const char *expression, const char **error)
{
    static char first[PCAP_ERRBUF_SIZE];
    struct tap_bpf *bpf = calloc(1, sizeof *bpf);
    bool fits = false;
    nu_assert(bpf != NULL);
    for (size_t i = 0; i < TYPES; i++) {
        const char *failed = compile(bpf, i, expression);
        fits |= !failed;
        if (failed && !i)
            snprintf(first, sizeof first, "%s", failed);
    }
    *error = fits ? NULL : first;
    if (fits)
        return bpf;
    tap_bpf_free(bpf);
    return NULL;
}

void tap_bpf_free(struct tap_bpf *bpf)
{
    for (size_t i = 0; bpf && i < TYPES; i++)
        if (bpf->fits[i])
            pcap_freecode(&bpf->program[i]);
    free(bpf);
}

bool tap_bpf_passes(const struct tap_bpf *bpf, const struct nu_capture_event *packet)
{
    if (!bpf)
        return true;
    struct pcap_pkthdr head = {.caplen = packet->len, .len = packet->wire_len};
    for (size_t i = 0; i < TYPES; i++)
        if (types[i].link == packet->link)
            return bpf->fits[i] && pcap_offline_filter(&bpf->program[i], &head, packet->data) != 0;
    return false;
}
