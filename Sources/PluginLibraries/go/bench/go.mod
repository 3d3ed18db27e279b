// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// Keeps this folder out of the library's module, which has no dependencies. The program is built without modules by
// Tests/PluginLibraries/go/build.sh, with Debian's packages of the protobuf libraries.

module elkeid/bench

go 1.18
