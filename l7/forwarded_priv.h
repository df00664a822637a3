/* What forwarded.c and xfcc.c share. */
#ifndef NU_L7_FORWARDED_PRIV_H
#define NU_L7_FORWARDED_PRIV_H

#include "l7/forwarded.h"

/* Makes `value`, which may stand in a field and lives as long as the head, the only one by a known
 * name. Where there is one already its place is used, so that this adds at most one. */
void fw_put(struct nu_http_head *head, enum nu_hdr id, struct nu_text value);
/* The values of all fields by that name as one list; the field's own text where there is one. */
struct nu_text fw_list(const struct nu_http_head *head, enum nu_hdr id);

/* x-forwarded-client-cert by the config's mode. */
void fw_client_cert(const struct nu_forwarded_conf *conf, struct nu_http_head *request,
                    const struct nu_facts *facts);

#endif
