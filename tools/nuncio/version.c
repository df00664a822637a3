/* What this binary is made of. */
#include "tools/nuncio/command.h"

#include <ares.h>
#include <brotli/decode.h>
#include <event2/event.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <nghttp2/nghttp2.h>
#include <pcre2.h>
#include <seccomp.h>
#include <yaml.h>
#include <zlib.h>

void nu_version_print(FILE *out)
{
    fprintf(out, "nuncio %s\n", NU_VERSION);
    fprintf(out, "libevent %s\n", event_get_version());
    fprintf(out, "libyaml %s\n", yaml_get_version_string());
    const struct scmp_version *seccomp = seccomp_version();
    fprintf(out, "libseccomp %u.%u.%u\n", seccomp->major, seccomp->minor, seccomp->micro);
    char pcre2[64] = "";
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) < (int)sizeof pcre2)
        pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    fprintf(out, "PCRE2 %s\n", pcre2);
    fprintf(out, "c-ares %s\n", ares_version(NULL));
    fprintf(out, "nghttp2 %s\n", nghttp2_version(0)->version_str);
    uint32_t brotli = BrotliDecoderVersion();
    fprintf(out, "zlib %s\n", zlibVersion());
    fprintf(out, "brotli %u.%u.%u\n", brotli >> 24, brotli >> 12 & 0xfff, brotli & 0xfff);
}
