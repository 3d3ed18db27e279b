// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#ifndef ELKEID_CJANSSON_SHIM_H
#define ELKEID_CJANSSON_SHIM_H

#include <jansson.h>

static inline int CJansson_type(const json_t *value) { return (int)json_typeof(value); }
static inline void CJansson_release(json_t *value) { json_decref(value); }

#endif
