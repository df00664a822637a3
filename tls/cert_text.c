/* Subjects and times of certificates in a form that logs and messages can take; see cert.h. */
#include "core/assert.h"
#include "tls/cert.h"

#include <openssl/bio.h>
#include <string.h>
#include <time.h>

const char *tls_name_text(const X509_NAME *name, char *buf, size_t size)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    nu_assert(out && size > 0);
    X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
    long len = BIO_get_mem_data(out, &text);
    size_t kept = (size_t)len < size - 1 ? (size_t)len : size - 1;
    memcpy(buf, text, kept);
    buf[kept] = 0;
    BIO_free(out);
    return buf;
}

const char *tls_subject(const X509 *cert, char *buf, size_t size)
{
    return tls_name_text(X509_get_subject_name(cert), buf, size);
}

int64_t tls_time_s(const ASN1_TIME *time)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}
