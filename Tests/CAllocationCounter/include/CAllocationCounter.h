// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Counts heap allocations of each thread: the test program's malloc and its relatives are ours, and glibc's do the work.
#ifndef C_ALLOCATION_COUNTER_H
#define C_ALLOCATION_COUNTER_H

#include <stdint.h>

/// Are allocations counted? Not under a sanitizer, which has its own malloc.
int CAllocationCounter_isActive(void);
/// Calls of malloc, calloc, realloc, memalign, aligned_alloc and posix_memalign by this thread since it began.
uint64_t CAllocationCounter_count(void);

#endif
