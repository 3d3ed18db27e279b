// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
#ifndef CNGHTTP2_SHIM_H
#define CNGHTTP2_SHIM_H
#include <nghttp2/nghttp2.h>
#endif
