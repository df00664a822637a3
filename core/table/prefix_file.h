/* Lists of networks in files: one prefix a line, IPv4 and IPv6 mixed, into a sealed cidr table.
 *
 * A single address is a prefix of its own length. Blank lines, what stands behind `#` or `;`, CRLF
 * and a byte order mark are passed over; anything else is an error with its line. Lists are often
 * other people's, so what errors show of them is made printable. Any thread. */
#ifndef NU_CORE_TABLE_PREFIX_FILE_H
#define NU_CORE_TABLE_PREFIX_FILE_H

#include "core/err.h"
#include "core/table/cidr.h"

#include <sys/stat.h>

#define NU_PREFIX_FILE_MAX_BYTES (64u << 20) /* a million IPv6 prefixes with comments are 60 MB */
#define NU_PREFIX_FILE_MAX       2000000u    /* prefixes in a file; 100 MB of memory */

/* What is wrong with a list. */
struct nu_prefix_fault {
    uint32_t line;   /* of the first mistake; 0: the file as a whole */
    uint32_t others; /* lines that are wrong as well */
    char what[176];  /* printable */
};

/* The text as a table whose values are line numbers (as pointers, from 1). The caller frees it with
 * nu_cidr_free. NU_ERR_SYNTAX, NU_ERR_LIMIT: *out is NULL and the fault is set. */
enum nu_err nu_prefix_parse(const char *text, size_t len, struct nu_cidr_table **out,
                            struct nu_prefix_fault *fault);
/* The same from a regular file, read in one go; `st` gets what it was when opened. Also
 * NU_ERR_SYSTEM, with the reason in the fault. Blocks for as long as the disk takes. */
enum nu_err nu_prefix_file_load(const char *path, struct nu_cidr_table **out, struct stat *st,
                                struct nu_prefix_fault *fault);

/* The line of a value. */
static inline uint32_t nu_prefix_line(const void *value)
{
    return (uint32_t)(uintptr_t)value;
}

#endif
