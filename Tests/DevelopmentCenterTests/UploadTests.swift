// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import DevelopmentCenter
import ElkeidWire
import Foundation
import Testing

@Suite
struct UploadTests {
    static let upload = "/grpc.FileExt/Upload"

    @Test(arguments: ContentCoding.allCases)
    func fileIsStoredUnderItsFirstToken(_ coding: ContentCoding) throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.upload, coding: coding)
        for (token, data) in [("../to/ken", "ab"), ("other", "cd"), ("", "ef")] {
            try client.send(FileUploadRequest(token: token, data: Array(data.utf8)).encoded(), on: call)
        }
        client.finish(call)
        try test.run("answer") { call.isClosed }
        #expect(call.status == "0")
        #expect(try call.messages.map { try FileUploadResponse(decoding: $0).status } == [.success])
        let folder = "\(test.scratch.path)/uploads"
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["1-___to_ken"])
        #expect(FileManager.default.contents(atPath: "\(folder)/1-___to_ken") == Data("abcdef".utf8))
        #expect(test.center.statistics.uploads == 1)
    }

    @Test
    func uploadWithoutAnyChunkIsAnError() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.upload)
        client.finish(call)
        try test.run("answer") { call.isClosed }
        #expect(call.status == "2")
        #expect(call.messages.isEmpty)
    }

    @Test
    func uploadThatCannotBeStoredFails() throws {
        let test = try TestCenter()
        _ = try test.scratch.file("uploads", [1])
        let client = try test.connect()
        let call = try client.open(Self.upload)
        try client.send(FileUploadRequest(token: "t", data: [1]).encoded(), on: call)
        client.finish(call)
        try test.run("answer") { call.isClosed }
        #expect(call.status == "0")
        #expect(try call.messages.map { try FileUploadResponse(decoding: $0).status } == [.failed])
    }
}
