/* What this binary is made of. */
#include "tools/nuncio/command.h"

#include <ares.h>
#include <event2/event.h>
#include <seccomp.h>
#include <yaml.h>

void nu_version_print(FILE *out)
{
    fprintf(out, "nuncio %s\n", NU_VERSION);
    fprintf(out, "libevent %s\n", event_get_version());
    fprintf(out, "libyaml %s\n", yaml_get_version_string());
    const struct scmp_version *seccomp = seccomp_version();
    fprintf(out, "libseccomp %u.%u.%u\n", seccomp->major, seccomp->minor, seccomp->micro);
    fprintf(out, "c-ares %s\n", ares_version(NULL));
}
