/* OCSP responses to staple; see cert.h. */
#include "tls/cert.h"

bool tls_ocsp_load(struct tls_cert *cert, struct tls_problem *problem)
{
    return tls_problem(problem, "ocsp", "not yet");
}
