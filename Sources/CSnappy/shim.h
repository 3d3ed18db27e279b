// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef ELKEID_CSNAPPY_SHIM_H
#define ELKEID_CSNAPPY_SHIM_H

#include <snappy-c.h>

#endif
