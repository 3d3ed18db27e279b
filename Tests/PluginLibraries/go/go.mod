// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

module elkeid/probe

go 1.18

require elkeid/plugin v0.0.0

replace elkeid/plugin => ../../../Sources/PluginLibraries/go
