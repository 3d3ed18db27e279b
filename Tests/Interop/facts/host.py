# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""What does not change while a test runs, from uname, lscpu, ip, lsb_release, psutil and the files that the contract
names. Each function gives an expectation, see expect.py."""

import ipaddress
import json
import math
import os
import re
import shutil
import socket
import subprocess
import time

import psutil

DIGITS = r"[0-9](_?[0-9])*"
GO_FLOAT = re.compile(
    rf"[+-]?(({DIGITS}\.?({DIGITS})?|\.{DIGITS})([eE][+-]?{DIGITS})?|0[xX](_?[0-9a-fA-F])*\.?(_?[0-9a-fA-F])*[pP].*)"
)
# Interfaces of this host alone; the original leaves out the first two kinds only, which its users complain of.
LOCAL_INTERFACES = ("lo", "docker", "veth", "cni", "flannel", "cali", "virbr", "kube-", "podman")
FAMILIES = {
    "debian": "debian ubuntu linuxmint raspbian",
    "rhel": "oracle centos redhat scientific enterpriseenterprise amazon xenserver cloudlinux ibm_powerkvm rocky almalinux",
    "suse": "suse opensuse opensuse-leap opensuse-tumbleweed sles sled caasp",
}


def output(*command):
    """What a program prints; None when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    environment = dict(os.environ, LC_ALL="C")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=False)
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def text(path):
    return content(path).replace(b"\0", b"").strip().decode("utf-8", "replace")


def named(field, value):
    """A string that the server would take for a number gets the field's name in front."""
    is_number = GO_FLOAT.fullmatch(value) and not ("p" not in value.lower() and math.isinf(float(value)))
    return {"is": f"{field}-{value}" if is_number else value}


def uname():
    release, machine = output("uname", "-r"), output("uname", "-m")
    assert (release, machine) == (os.uname().release, os.uname().machine)
    return {"kernel_version": named("kernel_version", release), "arch": named("arch", machine)}


# ---- Platform ----------------------------------------------------------------------------------------------------


def assignments(path):
    values = {}
    for line in content(path).decode("utf-8", "replace").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name] = value.strip("\"'")
    return values


def red_hat(path):
    words = "".join(content(path).decode("utf-8", "replace").splitlines()).lower()
    version = re.search(r"release (\d[\d.]*)", words)
    name = "redhat" if "red hat" in words else words.split(" ")[0]
    return name, "rawhide" if "rawhide" in words else version.group(1) if version else ""


def debian():
    first_line = text("/etc/debian_version").split("\n")[0]
    release = assignments("/etc/lsb-release")
    name = release.get("DISTRIB_ID") or output("lsb_release", "-is") or assignments("/etc/os-release").get("ID", "")
    version = release.get("DISTRIB_RELEASE") or output("lsb_release", "-rs")
    version = version or assignments("/etc/os-release").get("VERSION_ID", "")
    if name.lower() in ("ubuntu", "linuxmint"):
        return name.lower(), version
    return "raspbian" if os.path.exists("/usr/bin/raspi-config") else "debian", first_line


def distribution():
    for path in ("/etc/oracle-release", "/etc/enterprise-release"):
        if os.path.exists(path):
            return "oracle", red_hat(path)[1]
    if os.path.exists("/etc/slackware-version"):
        return "slackware", text("/etc/slackware-version").lower().replace("slackware ", "")
    if os.path.exists("/etc/debian_version"):
        return debian()
    for path in ("/etc/redhat-release", "/etc/system-release"):
        if os.path.exists(path):
            return red_hat(path)
    if os.path.exists("/etc/gentoo-release"):
        return "gentoo", red_hat("/etc/gentoo-release")[1]
    if os.path.exists("/etc/SuSE-release"):
        release = assignments("/etc/SuSE-release")
        level = [value.strip() for name, value in release.items() if name.strip() in ("VERSION", "PATCHLEVEL")]
        return "opensuse" if "opensuse" in text("/etc/SuSE-release").lower() else "suse", ".".join(level)
    if os.path.exists("/etc/arch-release"):
        return "arch", assignments("/etc/lsb-release").get("DISTRIB_RELEASE", "")
    if os.path.exists("/etc/alpine-release"):
        return "alpine", text("/etc/alpine-release").split("\n")[0]
    release = assignments("/etc/os-release") or assignments("/usr/lib/os-release")
    return release.get("ID", ""), release.get("VERSION", "")


def platform():
    name, version = distribution()
    family = next((family for family, names in FAMILIES.items() if name.lower() in names.split()), "")
    if not family and name in ("fedora", "gentoo", "slackware", "arch", "exherbo", "alpine", "coreos", "solus"):
        family = name
    # The original knows no family of others, and their hosts get no components; ours may know better.
    families = [family] if family else ["", "debian", "rhel", "suse"]
    versions = [version] if version else ["", assignments("/etc/os-release").get("VERSION_ID", "")]
    return {
        "platform": named("platform", name),
        "platform_family": {"one_of": families},
        "platform_version": {"one_of": versions},
    }


# ---- Hardware ----------------------------------------------------------------------------------------------------


def board():
    folder = "/sys/class/dmi/id/"
    names = {
        "host_serial": "product_serial", "host_id": "product_uuid", "host_model": "product_name",
        "host_vendor": "sys_vendor",
    }
    return {field: {"is": text(folder + name)} for field, name in names.items()}


def of_lscpu(name):
    def walk(entries):
        for entry in entries:
            yield entry
            yield from walk(entry.get("children", []))

    printed = output("lscpu", "-J")
    entries = json.loads(printed)["lscpu"] if printed else []
    return next((entry["data"] for entry in walk(entries) if entry["field"] == name), None)


def processor_name():
    """The kernel's name of the first processor; where it has none (arm64), lscpu's, if that knows one."""
    named_by_lscpu = of_lscpu("Model name:")
    for line in content("/proc/cpuinfo").decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() == "model name" and value.strip():
            if os.uname().machine == "x86_64":
                assert named_by_lscpu in (None, "-", value.strip()), (named_by_lscpu, value)
            return {"is": value.strip()}
    return {"is": named_by_lscpu} if named_by_lscpu not in (None, "-") else {"text": True}


def boot_time():
    """btime, but in a container that has an uptime of its own what this says."""
    computed = time.time() - float(content("/proc/uptime").split()[0])
    stated = psutil.boot_time()
    if computed - stated > 2:
        return {"min": computed - 1.5, "max": computed + 1.5, "integral": True}
    return {"min": min(stated, computed) - 1.5, "max": max(stated, computed) + 1.5, "integral": True}


# ---- Network -----------------------------------------------------------------------------------------------------


def gateway():
    """Of the kernel's table of routes; ip(8) must know it too."""
    found = ""
    for line in content("/proc/net/route").decode("ascii", "replace").splitlines()[1:]:
        columns = line.split()
        if int(columns[3], 16) & 3 == 3:
            found = socket.inet_ntoa(bytes.fromhex(columns[2])[::-1])
            break
    printed = output("ip", "-j", "-4", "route", "show")
    if printed is not None:
        routes = json.loads(printed or "[]")
        gateways = {hop["gateway"] for route in routes for hop in [route] + route.get("nexthops", []) if "gateway" in hop}
        assert (found in gateways) if found else not gateways, (found, gateways)
    return named("gateway", found)


def name_servers():
    lines = content("/etc/resolv.conf").decode("utf-8", "replace").splitlines()
    found = [re.match(r"nameserver\s+(\S+)", line) for line in lines]
    return named("dns", ",".join(match.group(1) for match in found if match))


def is_local(interface):
    return interface.startswith(LOCAL_INTERFACES) or re.fullmatch("br-[0-9a-f]{12}", interface) is not None


def is_global(address):
    return not (
        address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast
        or str(address) == "255.255.255.255"
    )


def addresses():
    """The four lists of a message's header, at most five of each, in ip's order: {"first_of": all}."""
    lists = {name: [] for name in ("intranet_ipv4", "extranet_ipv4", "intranet_ipv6", "extranet_ipv6")}
    intranet = {
        4: [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")],
        6: [ipaddress.ip_network("fd00::/8")],
    }
    for interface in json.loads(output("ip", "-j", "address") or "[]"):
        if is_local(interface.get("ifname", "lo")):
            continue
        for entry in interface.get("addr_info", []):
            address = ipaddress.ip_address(entry["local"])
            if is_global(address):
                inside = any(address in net for net in intranet[address.version])
                lists[f"{'intra' if inside else 'extra'}net_ipv{address.version}"].append(str(address))
    return lists
