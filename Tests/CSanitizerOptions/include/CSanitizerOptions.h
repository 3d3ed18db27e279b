// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef CSANITIZER_OPTIONS_H
#define CSANITIZER_OPTIONS_H

/// Read by LeakSanitizer at the end of the test program, when it was built with AddressSanitizer: leaks that are not ours.
const char *__lsan_default_suppressions(void);

#endif
