/* Where captures are written to: a file, the standard output, or the files of a ring. Whole blocks
 * only reach it; a disk that is full costs the last of them, not the file. One thread. */
#ifndef NU_TOOLS_TAP_WRITE_FILE_H
#define NU_TOOLS_TAP_WRITE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_FILES_MAX 100000u /* of a ring: names have five digits */

struct tap_target {
    const char *path;    /* "-" = the standard output */
    uint64_t file_bytes; /* begin another file beyond, 0 = never */
    int64_t file_ns;     /* or after so long, 0 = never */
    unsigned files;      /* kept of them; 0 = all */
};

/* Both are the same regular file; `other` may be -1. */
bool tap_is_same_file(int fd, int other);

struct tap_outfile;

/* Opens it, or gets a ring ready, while the program may. `source`: what is read, which may not be
 * the same file; -1 = none. NULL: told on stderr. */
struct tap_outfile *tap_outfile_open(const struct tap_target *target, int source);
/* Whether what comes now, a packet of that time, belongs into another file than what is there; with
 * all that was not written yet it has `len` bytes. */
bool tap_outfile_is_over(const struct tap_outfile *f, size_t len, int64_t time_ns);
/* Begins the first or the next one; the bytes for the last are written. False: told. */
bool tap_outfile_next(struct tap_outfile *f, int64_t time_ns);
/* False: told; nothing more may be written. */
bool tap_outfile_write(struct tap_outfile *f, const void *bytes, size_t len);
/* False: the last write has failed, now. NULL is fine. */
bool tap_outfile_close(struct tap_outfile *f);

#endif
