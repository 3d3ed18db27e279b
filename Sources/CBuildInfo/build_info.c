// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#include "CBuildInfo.h"

#ifndef ELKEID_BUILD_VERSION
#error "ELKEID_BUILD_VERSION is defined by Package.swift"
#endif

const char *elkeid_build_version(void) {
    return ELKEID_BUILD_VERSION;
}
