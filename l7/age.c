/* When a client's connection has served long enough; see age.h. */
#include "l7/age.h"

#define GOLDEN 0x9e3779b97f4a7c15u /* 2^64 by the golden ratio: spreads numbers that follow */

/* By its number, so that it is the same whenever it is asked for. */
int64_t nu_http_old_at(const struct nu_facts *facts, const struct nu_http_conf *conf)
{
    if (conf->max_connection_ms == 0)
        return 0;
    uint64_t tenth = (uint64_t)conf->max_connection_ms / 10 + 1;
    int64_t less = (int64_t)((facts->id * GOLDEN >> 32) % tenth);
    return facts->start_ms + conf->max_connection_ms - less;
}
