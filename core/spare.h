/* Small objects that come and go with every event: a short list of used ones for each size, so that
 * the next one costs no call of malloc. A loop has one; what is got there is put back there. */
#ifndef NU_CORE_SPARE_H
#define NU_CORE_SPARE_H

#include <stddef.h>
#include <stdint.h>

#define NU_SPARE_STEP  64u /* bytes from size to size: a cache line */
#define NU_SPARE_SIZES 8u  /* beyond the last one malloc is asked */

/* Kept of each size: a busy turn's, not the peak. A sanitizer sees use after free only where it is
 * freed. */
#if defined(__SANITIZE_ADDRESS__)
#define NU_SPARE_KEEP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NU_SPARE_KEEP 0
#endif
#endif
#ifndef NU_SPARE_KEEP
#define NU_SPARE_KEEP 64
#endif

struct nu_spares {
    void *first[NU_SPARE_SIZES];
    uint8_t kept[NU_SPARE_SIZES];
};

/* At least `bytes`, not cleared; never NULL. The caller gives it back with the same number. */
void *nu_spare_get(struct nu_spares *spares, size_t bytes);
void nu_spare_put(struct nu_spares *spares, void *p, size_t bytes);
void nu_spares_free(struct nu_spares *spares);

#endif
