// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The distribution: its name, its family and its version, as the console shows them and as components are bound.
///
/// By the rules of gopsutil 3.22.3, which the upstream agent takes them from. They leave the family of a distribution
/// they do not know empty, and such a host gets no component; here os-release(5) decides then, by ID_LIKE and ID.
public struct Platform: Sendable, Equatable {
    public var name = ""
    /// "debian" or "rhel" where anything hangs on it.
    public var family = ""
    public var version = ""

    public init(name: String = "", family: String = "", version: String = "") {
        self.name = name
        self.family = family
        self.version = version
    }

    public static func current(_ tree: FileTree = FileTree()) -> Platform {
        let release = ReleaseFile(tree, ["/etc/os-release", "/usr/lib/os-release"])
        var platform = named(tree, release)
        if platform.version.isEmpty { platform.version = release["VERSION_ID"] }
        platform.family = family(of: platform.name.lowercased())
        if platform.family.isEmpty {
            let names = release["ID_LIKE"].split(separator: " ").map(String.init) + [release["ID"], platform.name]
            platform.family = names.lazy.map { kin(of: $0.lowercased()) }.first { !$0.isEmpty } ?? ""
        }
        return platform
    }

    /// The first file that exists decides.
    private static func named(_ tree: FileTree, _ release: ReleaseFile) -> Platform {
        for path in ["/etc/oracle-release", "/etc/enterprise-release"] where tree.exists(path) {
            return Platform(name: "oracle", version: redHatVersion(tree.releaseText(path)))
        }
        if tree.exists("/etc/slackware-version") {
            let text = tree.releaseText("/etc/slackware-version")
            return Platform(name: "slackware", version: text.dropping("slackware "))
        }
        if tree.exists("/etc/debian_version") { return debian(tree, release) }
        for path in ["/etc/redhat-release", "/etc/system-release"] where tree.exists(path) {
            let text = tree.releaseText(path)
            return Platform(name: redHatName(text), version: redHatVersion(text))
        }
        if tree.exists("/etc/gentoo-release") {
            return Platform(name: "gentoo", version: redHatVersion(tree.releaseText("/etc/gentoo-release")))
        }
        if tree.exists("/etc/SuSE-release") { return suse(tree) }
        let lsb = ReleaseFile(tree, ["/etc/lsb-release"])
        if tree.exists("/etc/arch-release") { return Platform(name: "arch", version: lsb["DISTRIB_RELEASE"]) }
        if tree.exists("/etc/alpine-release") {
            return Platform(name: "alpine", version: tree.firstLine("/etc/alpine-release"))
        }
        if !release.isEmpty { return Platform(name: release["ID"], version: release["VERSION"]) }
        return Platform(name: lsb["DISTRIB_ID"].lowercased(), version: lsb["DISTRIB_RELEASE"])
    }

    private static func debian(_ tree: FileTree, _ release: ReleaseFile) -> Platform {
        let lsb = ReleaseFile(tree, ["/etc/lsb-release"])
        // Without lsb-release upstream runs lsb_release(1), which says what os-release does.
        let name = lsb.isEmpty ? release["ID"] : lsb["DISTRIB_ID"].lowercased()
        if name == "ubuntu" || name == "linuxmint" {
            return Platform(name: name, version: lsb.isEmpty ? release["VERSION_ID"] : lsb["DISTRIB_RELEASE"])
        }
        return Platform(
            name: tree.exists("/usr/bin/raspi-config") ? "raspbian" : "debian",
            version: tree.firstLine("/etc/debian_version")
        )
    }

    private static func suse(_ tree: FileTree) -> Platform {
        var version = ""
        for line in tree.lines("/etc/SuSE-release") {
            if let value = line.dropping(prefix: "VERSION = ") { version = value.trimmed.text }
            if let value = line.dropping(prefix: "PATCHLEVEL = ") { version += "." + value.trimmed.text }
        }
        let isOpen = tree.releaseText("/etc/SuSE-release").holds("opensuse")
        return Platform(name: isOpen ? "opensuse" : "suse", version: version)
    }

    /// "red hat" anywhere is redhat, else the first word.
    private static func redHatName(_ text: String) -> String {
        text.holds("red hat") ? "redhat" : String(text.prefix { $0 != " " })
    }

    /// The digits and dots after the first "release " that they follow.
    private static func redHatVersion(_ text: String) -> String {
        if text.holds("rawhide") { return "rawhide" }
        let mark = Array("release ".utf8)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            if rest.starts(with: mark) {
                let version = rest.dropFirst(mark.count).prefix { (0x30...0x39).contains($0) || $0 == 0x2e }
                if let first = version.first, first != 0x2e { return version.text }
            }
            rest = rest.dropFirst()
        }
        return ""
    }
}

extension Platform {
    /// Upstream's families.
    private static func family(of name: String) -> String {
        switch name {
        case "debian", "ubuntu", "linuxmint", "raspbian": "debian"
        case "oracle", "centos", "redhat", "scientific", "enterpriseenterprise", "amazon", "xenserver", "cloudlinux",
            "ibm_powerkvm", "rocky", "almalinux":
            "rhel"
        case "suse", "sles", "sled", "caasp": "suse"
        case "fedora", "gentoo", "slackware", "arch", "exherbo", "alpine", "coreos", "solus": name
        default: name.hasPrefix("opensuse") ? "suse" : ""
        }
    }

    /// Of a name in ID_LIKE, or of an ID whose release file says nothing of its kin.
    private static func kin(of name: String) -> String {
        switch name {
        case "rhel", "fedora", "amzn", "ol", "anolis", "alinux", "alibaba", "openeuler", "euleros", "hce", "huawei",
            "kylin", "tencentos", "tencent", "tlinux", "opencloudos", "uos", "uniontech", "bclinux", "bigcloud",
            "ctyunos",
            "culinux", "asianux", "neokylin", "virtuozzo", "photon", "mariner", "azurelinux":
            "rhel"
        case "deepin", "kali", "openkylin", "devuan", "pop": "debian"
        default: family(of: name)
        }
    }
}
