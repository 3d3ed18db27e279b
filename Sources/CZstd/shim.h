// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef ELKEID_CZSTD_SHIM_H
#define ELKEID_CZSTD_SHIM_H

#include <zstd.h>
#include <zstd_errors.h>

#endif
