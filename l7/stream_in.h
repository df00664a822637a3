/* The left end of every stream's chain: the half of the joint to its codec. */
#ifndef NU_L7_STREAM_IN_H
#define NU_L7_STREAM_IN_H

#include "core/filter.h"

extern const struct nu_filter_type nu_stream_in;

#endif
