// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Package selftest checks the two programs against each other and against a grpc-go client.
package selftest
