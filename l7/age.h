/* When a client's connection has served long enough, so that load is spread anew and no connection
 * lives for ever: what HTTP/1 and HTTP/2 share. Each says it in its own way, and only between
 * requests, so that none is lost. */
#ifndef NU_L7_AGE_H
#define NU_L7_AGE_H

#include "l7/http.h"

/* When it is old enough, on its loop's clock; 0 = never. Up to a tenth sooner than the config says,
 * differently for each connection: those that came together do not leave together. */
int64_t nu_http_old_at(const struct nu_facts *facts, const struct nu_http_conf *conf);

#endif
