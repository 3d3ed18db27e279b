// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#include "CSanitizerOptions.h"

// The test runner itself, and Foundation's Process and file reading, which only tests use.
const char *__lsan_default_suppressions(void) {
    return "leak:libXCTest\n"
           "leak:XCTest\n"
           "leak:libFoundation\n"
           "leak:libTesting\n";
}
