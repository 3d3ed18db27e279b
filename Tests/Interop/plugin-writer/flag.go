// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

package main

import "sync/atomic"

// flag can be set once, by any goroutine.
type flag struct{ value int32 }

func (f *flag) set()        { atomic.StoreInt32(&f.value, 1) }
func (f *flag) isSet() bool { return atomic.LoadInt32(&f.value) != 0 }
