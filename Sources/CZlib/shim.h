// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef ELKEID_CZLIB_SHIM_H
#define ELKEID_CZLIB_SHIM_H

#include <zlib.h>

#endif
