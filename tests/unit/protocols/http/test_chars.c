/* Scans as this machine runs them. */
#include "tests/unit/protocols/http/chars_cases.h"

int main(void)
{
    return run();
}
