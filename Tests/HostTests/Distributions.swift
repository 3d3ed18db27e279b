// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The release files of a distribution, as published, and what the agent must make of them.
struct Distribution: Sendable, CustomStringConvertible {
    let description: String
    let files: [String: String]
    let name: String
    let family: String
    let version: String

    init(_ description: String, _ files: [String: String], _ name: String, _ family: String, _ version: String) {
        self.description = description
        self.files = files
        self.name = name
        self.family = family
        self.version = version
    }
}

/// os-release(5) with the given assignments.
private func release(_ assignments: String...) -> String {
    "# recorded\n" + assignments.map { $0 + "\n" }.joined() + "HOME_URL=\"https://example.org/\"\n"
}

let distributions: [Distribution] =
    debianDistributions + redHatDistributions + redHatKin + otherDistributions + oddDistributions

private let debianDistributions = [
    Distribution(
        "Debian 10",
        ["/etc/debian_version": "10.13\n", "/etc/os-release": release("ID=debian", "VERSION_ID=\"10\"")],
        "debian",
        "debian",
        "10.13"
    ),
    Distribution(
        "Debian 12",
        ["/etc/debian_version": "12.4\n", "/usr/lib/os-release": release("ID=debian", "VERSION_ID=\"12\"")],
        "debian",
        "debian",
        "12.4"
    ),
    Distribution(
        "Debian testing",
        ["/etc/debian_version": "trixie/sid\n", "/etc/os-release": release("ID=debian")],
        "debian",
        "debian",
        "trixie/sid"
    ),
    Distribution(
        "Ubuntu 22.04",
        [
            "/etc/debian_version": "bookworm/sid\n",
            "/etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\n"
                + "DISTRIB_DESCRIPTION=\"Ubuntu 22.04.3 LTS\"\n",
            "/etc/os-release": release("ID=ubuntu", "ID_LIKE=debian", "VERSION_ID=\"22.04\""),
        ],
        "ubuntu",
        "debian",
        "22.04"
    ),
    Distribution(
        "Ubuntu 24.04 container",
        [
            "/etc/debian_version": "trixie/sid\n",
            "/etc/os-release": release("ID=ubuntu", "ID_LIKE=debian", "VERSION_ID=\"24.04\""),
        ],
        "ubuntu",
        "debian",
        "24.04"
    ),
    Distribution(
        "Linux Mint 21.3",
        [
            "/etc/debian_version": "bookworm/sid\n",
            "/etc/lsb-release": "DISTRIB_ID=LinuxMint\nDISTRIB_RELEASE=21.3\nDISTRIB_CODENAME=virginia\n",
            "/etc/os-release": release("ID=linuxmint", "ID_LIKE=\"ubuntu debian\"", "VERSION_ID=\"21.3\""),
        ],
        "linuxmint",
        "debian",
        "21.3"
    ),
    Distribution(
        "Raspbian 11",
        [
            "/etc/debian_version": "11.8\n", "/usr/bin/raspi-config": "#!/bin/sh\n",
            "/etc/os-release": release("ID=raspbian", "ID_LIKE=debian", "VERSION_ID=\"11\""),
        ],
        "raspbian",
        "debian",
        "11.8"
    ),
]

private let redHatDistributions = [
    Distribution(
        "CentOS 7",
        [
            "/etc/redhat-release": "CentOS Linux release 7.9.2009 (Core)\n",
            "/etc/os-release": release("ID=\"centos\"", "ID_LIKE=\"rhel fedora\"", "VERSION_ID=\"7\""),
        ],
        "centos",
        "rhel",
        "7.9.2009"
    ),
    Distribution(
        "CentOS 6, before os-release",
        ["/etc/redhat-release": "CentOS release 6.10 (Final)\n"],
        "centos",
        "rhel",
        "6.10"
    ),
    Distribution(
        "RHEL 9",
        [
            "/etc/redhat-release": "Red Hat Enterprise Linux release 9.3 (Plow)\n",
            "/etc/os-release": release("ID=\"rhel\"", "ID_LIKE=\"fedora\"", "VERSION_ID=\"9.3\""),
        ],
        "redhat",
        "rhel",
        "9.3"
    ),
    Distribution(
        "Rocky 9",
        [
            "/etc/redhat-release": "Rocky Linux release 9.3 (Blue Onyx)\n",
            "/etc/os-release": release("ID=\"rocky\"", "ID_LIKE=\"rhel centos fedora\"", "VERSION_ID=\"9.3\""),
        ],
        "rocky",
        "rhel",
        "9.3"
    ),
    Distribution(
        "AlmaLinux 8",
        [
            "/etc/redhat-release": "AlmaLinux release 8.9 (Midnight Oncilla)\n",
            "/etc/os-release": release("ID=\"almalinux\"", "ID_LIKE=\"rhel centos fedora\"", "VERSION_ID=\"8.9\""),
        ],
        "almalinux",
        "rhel",
        "8.9"
    ),
    Distribution(
        "Oracle 8",
        [
            "/etc/oracle-release": "Oracle Linux Server release 8.9\n",
            "/etc/redhat-release": "Red Hat Enterprise Linux release 8.9 (Ootpa)\n",
            "/etc/os-release": release("ID=\"ol\"", "ID_LIKE=\"fedora\"", "VERSION_ID=\"8.9\""),
        ],
        "oracle",
        "rhel",
        "8.9"
    ),
    Distribution(
        "Fedora 39",
        [
            "/etc/redhat-release": "Fedora release 39 (Thirty Nine)\n",
            "/etc/os-release": release("ID=fedora", "VERSION_ID=39"),
        ],
        "fedora",
        "fedora",
        "39"
    ),
    Distribution(
        "Fedora Rawhide",
        ["/etc/redhat-release": "Fedora release 41 (Rawhide)\n"],
        "fedora",
        "fedora",
        "rawhide"
    ),
    Distribution(
        "Amazon 2",
        [
            "/etc/system-release": "Amazon Linux release 2 (Karoo)\n",
            "/etc/os-release": release("ID=\"amzn\"", "ID_LIKE=\"centos rhel fedora\"", "VERSION_ID=\"2\""),
        ],
        "amazon",
        "rhel",
        "2"
    ),
]

private let redHatKin = [
    Distribution(
        "Kylin V10",
        [
            "/etc/system-release": "Kylin Linux Advanced Server release V10 (Lance)\n",
            "/etc/os-release": release("ID=\"kylin\"", "VERSION=\"V10 (Lance)\"", "VERSION_ID=\"V10\""),
        ],
        "kylin",
        "rhel",
        "V10"
    ),
    Distribution(
        "Anolis 8",
        [
            "/etc/redhat-release": "Anolis OS release 8.8\n",
            "/etc/os-release": release("ID=\"anolis\"", "ID_LIKE=\"rhel fedora centos\"", "VERSION_ID=\"8.8\""),
        ],
        "anolis",
        "rhel",
        "8.8"
    ),
    Distribution(
        "Anolis 23, which names no kin",
        [
            "/etc/system-release": "Anolis OS release 23\n",
            "/etc/os-release": release("ID=\"anolis\"", "VERSION_ID=\"23\""),
        ],
        "anolis",
        "rhel",
        "23"
    ),
    Distribution(
        "openEuler 22.03",
        [
            "/etc/system-release": "openEuler release 22.03 (LTS-SP3)\n",
            "/etc/os-release": release("ID=\"openEuler\"", "VERSION=\"22.03 (LTS-SP3)\"", "VERSION_ID=\"22.03\""),
        ],
        "openeuler",
        "rhel",
        "22.03"
    ),
    Distribution(
        "openEuler 24.03 container, with os-release only",
        ["/etc/os-release": release("ID=\"openEuler\"", "VERSION=\"24.03 (LTS-SP2)\"", "VERSION_ID=\"24.03\"")],
        "openEuler",
        "rhel",
        "24.03 (LTS-SP2)"
    ),
    Distribution(
        "TencentOS 3",
        [
            "/etc/redhat-release": "TencentOS Server release 3.1 (Final) \n",
            "/etc/os-release": release("ID=\"tencentos\"", "ID_LIKE=\"rhel fedora centos\"", "VERSION_ID=\"3.1\""),
        ],
        "tencentos",
        "rhel",
        "3.1"
    ),
    Distribution(
        "TencentOS 2.4, whose release file lacks the word",
        [
            "/etc/redhat-release": "TencentOS Server 2.4 (Final)\n",
            "/etc/os-release": release("ID=\"tencentos\"", "ID_LIKE=\"rhel fedora tlinux\"", "VERSION_ID=\"2.4\""),
        ],
        "tencentos",
        "rhel",
        "2.4"
    ),
    Distribution(
        "Huawei Cloud EulerOS 2.0",
        ["/etc/os-release": release("ID=\"hce\"", "VERSION=\"2.0 (x86_64)\"", "VERSION_ID=\"2.0\"")],
        "hce",
        "rhel",
        "2.0 (x86_64)"
    ),
]

private let otherDistributions = [
    Distribution(
        "openSUSE Leap 15.5",
        ["/etc/os-release": release("ID=\"opensuse-leap\"", "ID_LIKE=\"suse opensuse\"", "VERSION=\"15.5\"")],
        "opensuse-leap",
        "suse",
        "15.5"
    ),
    Distribution(
        "openSUSE 42.2, the last with its own file",
        [
            "/etc/SuSE-release": "openSUSE 42.2 (x86_64)\nVERSION = 42.2\nCODENAME = Malachite\n",
            "/etc/os-release": release("ID=opensuse", "ID_LIKE=\"suse\"", "VERSION_ID=\"42.2\""),
        ],
        "opensuse",
        "suse",
        "42.2"
    ),
    Distribution(
        "SLES 12",
        ["/etc/SuSE-release": "SUSE Linux Enterprise Server 12 (x86_64)\nVERSION = 12\nPATCHLEVEL = 5\n"],
        "suse",
        "suse",
        "12.5"
    ),
    Distribution(
        "SLES 15",
        ["/etc/os-release": release("VERSION=\"15-SP4\"", "VERSION_ID=\"15.4\"", "ID=\"sles\"", "ID_LIKE=\"suse\"")],
        "sles",
        "suse",
        "15-SP4"
    ),
    Distribution(
        "Alpine 3.18",
        ["/etc/alpine-release": "3.18.4\n", "/etc/os-release": release("ID=alpine", "VERSION_ID=3.18.4")],
        "alpine",
        "alpine",
        "3.18.4"
    ),
    Distribution(
        "Arch",
        [
            "/etc/arch-release": "", "/etc/lsb-release": "DISTRIB_ID=\"Arch\"\nDISTRIB_RELEASE=\"rolling\"\n",
            "/etc/os-release": release("ID=arch", "BUILD_ID=rolling"),
        ],
        "arch",
        "arch",
        "rolling"
    ),
    Distribution(
        "Gentoo",
        ["/etc/gentoo-release": "Gentoo Base System release 2.14\n"],
        "gentoo",
        "gentoo",
        "2.14"
    ),
    Distribution("Slackware", ["/etc/slackware-version": "Slackware 15.0\n"], "slackware", "slackware", "15.0"),
]

private let oddDistributions = [
    Distribution("Nothing at all", [:], "", "", ""),
    Distribution(
        "Unknown, with kin",
        ["/etc/os-release": release("ID='new'", "ID_LIKE='other ubuntu'", "VERSION='1 (One)'")],
        "new",
        "debian",
        "1 (One)"
    ),
    Distribution("Unknown, without kin", ["/etc/os-release": release("ID=new", "VERSION_ID=7")], "new", "", "7"),
    Distribution(
        "lsb-release only",
        ["/etc/lsb-release": "DISTRIB_ID=XenServer\nDISTRIB_RELEASE=7\n"],
        "xenserver",
        "rhel",
        "7"
    ),
    Distribution("Empty files", ["/etc/debian_version": "", "/etc/lsb-release": ""], "debian", "debian", ""),
    Distribution(
        "Malformed",
        ["/etc/os-release": "=\n==\nID\nID=\"x\n\"\nVERSION_ID=\n#ID=y"],
        "x",
        "",
        ""
    ),
]
