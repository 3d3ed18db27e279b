// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

module elkeid/plugin

go 1.18
