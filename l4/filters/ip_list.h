/* List files in service: one object for each path, however many filters name it, watched, and
 * swapped on all workers when the file has another content. A file that is wrong changes nothing.
 *
 * Got and put on main; looked into by each worker through a view of its own. */
#ifndef NU_L4_FILTERS_IP_LIST_H
#define NU_L4_FILTERS_IP_LIST_H

#include "core/table/prefix_file.h"

struct nu_ip_list;

/* The list of an absolute path, with one reference for the caller. Reads the file, unless it is in
 * service and unchanged; what it holds anew goes to everyone. NULL, and the fault is set, if the
 * file is wrong now: a list that is in service stays as it was. Main thread. */
struct nu_ip_list *nu_ip_list_get(const char *path, struct nu_prefix_fault *fault);
/* No worker may look into it any more, if this was the last reference. Main thread. */
void nu_ip_list_put(struct nu_ip_list *list);

/* The networks as that shard has them; valid until its callback returns. */
const struct nu_cidr_table *nu_ip_list_table(const struct nu_ip_list *list, unsigned shard);
/* The file's own name, without its folders. */
const char *nu_ip_list_name(const struct nu_ip_list *list);

#endif
