// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

/// What a server sets on a host: IDC and region.
@Suite struct SpecifyTests {
    @Test(arguments: [
        ("", "specified_idc = x\n"), ("\n\n", "specified_idc = x\n"), ("specified_idc = a", "specified_idc = x\n"),
        ("specified_idc=a\nspecified_idc : b\n", "specified_idc = x\n"),
        ("# specified_idc = a\n", "# specified_idc = a\nspecified_idc = x\n"),
        ("service_type = systemd\nspecified_idc = a\nother\n", "service_type = systemd\nspecified_idc = x\nother\n"),
        ("specified_id = a\n", "specified_id = a\nspecified_idc = x\n"),
    ])
    func keepsWhatIsNotSet(before: String, after: String) {
        let text = SpecifiedEnvironment.setting(["specified_idc": "x"], in: Array(before.utf8))
        #expect(String(decoding: text, as: UTF8.self) == after)
        #expect(SpecifiedEnvironment.parse(text: text, file: "f").values["specified_idc"]?.text == "x")
        // Set again, it stays as it is.
        #expect(SpecifiedEnvironment.setting(["specified_idc": "x"], in: text) == text)
    }

    @Test func keepsBytesThatAreNoText() {
        let before: [UInt8] = [0xff, 0xfe, 0x0a]
        let text = SpecifiedEnvironment.setting(["specified_region": "r"], in: before)
        #expect(text == before + Array("specified_region = r\n".utf8))
    }

    @Test(
        arguments: [
            ("east", nil, nil), (nil, "cn", nil), ("a", "cn", nil), (nil, "mars", "is not defined on this host"),
            ("", nil, "no value"), ("a=b", nil, "settings run together"), ("a\nb", nil, "control characters"),
            ("12", nil, "reads as a number"), ("1e3", nil, "reads as a number"), ("a;b", nil, "mean something"),
            ("$HOME", nil, "mean something"), ("a\\b", nil, "mean something"), (" a", nil, "mean something"),
            ("good", "mars", "is not defined"),
        ] as [(String?, String?, String?)]
    )
    func takesWhatMakesSense(idc: String?, region: String?, problem: String?) {
        var configuration = load("[region \"default\"]\nprivate = a:1\n[region \"cn\"]\nprivate = b:1\n").configuration
        let before = configuration
        let said = configuration.specify(idc: idc, region: region)
        if let problem {
            #expect(said?.contains(problem) == true, "\(said ?? "nothing")")
            #expect(configuration == before, "all or nothing")
        } else {
            #expect(said == nil)
            #expect(configuration.agent.idc == idc ?? before.agent.idc)
            #expect(configuration.agent.region == region ?? before.agent.region)
        }
    }
}
