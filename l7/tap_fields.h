/* The fields that conditions of the live tap have, over struct nu_tap_record: those of nuncio-tap
 * by the same names where they mean the same, and what only the proxy knows. Workers ask. */
#ifndef NU_L7_TAP_FIELDS_H
#define NU_L7_TAP_FIELDS_H

#include "l4/tap/tap_record.h"

/* For nu_where_new; nu_where_print lists them. */
extern const struct nu_where_fields nu_tap_fields;

#endif
