// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef ELKEID_CBUILDINFO_H
#define ELKEID_CBUILDINFO_H

/// The version of this build, four decimal numbers joined by dots ("1.7.0.24"): the form that Agent Center compares.
///
/// It comes from the environment variable BUILD_VERSION when the package manifest is evaluated.
///
/// - Returns: a NUL-terminated ASCII string with static storage duration; the caller must not free it.
const char *_Nonnull elkeid_build_version(void);

#endif
