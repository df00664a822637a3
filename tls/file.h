/* Files that a `tls:` map names: read whole, and told apart by what the file system says of them.
 * Inside of tls/; main thread, as all opening of files. */
#ifndef NU_TLS_FILE_H
#define NU_TLS_FILE_H

#include "tls/problem.h"

#include <openssl/bio.h>
#include <sys/stat.h>

#define TLS_FILE_MAX (64u << 20) /* bytes: the CRL of a large public CA has some 20 MiB */

/* Another content has another stamp, but for two writes of one size within a tick of the file
 * system's clock. */
struct tls_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

/* Of the file behind the path; zero where there is none. NULL path: zero. */
struct tls_stamp tls_stamp_of(const char *path);
bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b);

/* The content as a BIO over a private copy, which is wiped when the caller frees it; NULL: told in
 * `problem` for `key`. */
BIO *tls_file_open(const char *path, const char *key, struct tls_problem *problem);

#endif
