/* Scans as machines without SSE2 run them. */
#undef __SSE2__
#include "tests/unit/protocols/http/chars_cases.h"

int main(void)
{
    return run();
}
