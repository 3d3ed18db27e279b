// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// libarchive 3.
#ifndef CARCHIVE_SHIM_H
#define CARCHIVE_SHIM_H

#include <archive.h>
#include <archive_entry.h>

#endif
