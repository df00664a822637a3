/* Edits of a head that a config asks for: {set, add, remove}. Values are text with the operators of
 * access logs (%DOWNSTREAM_REMOTE_ADDRESS%), compiled with the config. */
#ifndef NU_L7_HEAD_EDIT_H
#define NU_L7_HEAD_EDIT_H

#include "core/conf/schema.h"

struct nu_chain;
struct nu_http_head;
struct nu_head_edits;

/* Parses {set: {..}, add: {..}, remove: [..]}; NULL node: *out is NULL. Reports names and values
 * that no field may have, and those that the program makes by itself (host: rewrite; connection,
 * content-length, transfer-encoding, ...). Main thread; the arena's. */
enum nu_err nu_head_edits_parse(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, const struct nu_head_edits **out);
/* As a NU_CUSTOM field's parse: stores a const struct nu_head_edits *. The schema is its `sub`. */
nu_parse_fn nu_head_edits_field;
extern const struct nu_schema nu_head_edits_schema;

/* remove, then set, then add. NULL edits: nothing. A value that an operator has nothing for is left
 * out, but what it was to replace goes: it may be what a client claims. What would break a line or
 * the limit on fields is left out too. The edits outlive the head. On the chain's worker. */
void nu_head_edits_apply(const struct nu_head_edits *edits, struct nu_http_head *head,
                         struct nu_chain *chain);

#endif
