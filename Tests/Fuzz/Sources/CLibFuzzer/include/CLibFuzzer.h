// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <stddef.h>
#include <stdint.h>

/// libFuzzer's main loop, for a program with a `main` of its own (llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a
/// library"). The header with this declaration does not come with Swift.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
