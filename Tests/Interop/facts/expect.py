# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""What each field of each heartbeat of a run must be, from other sources than the agent's code.

Standard input is one JSON object:

    {"folder": "…",                    where monitor.py left samples.jsonl
     "agent": {"pid": 1, "version": "…", "idc": "…", "region": "…", "kept_id": "…"},
     "plugins": {"writer": {"pid": 2, "version": "…"}},
     "heartbeats": [{"data_type": 1000, "target": "agent", "at": microseconds of arrival, "timestamp": seconds}]}

Standard output has for each heartbeat {"fields": {name: expectation}, "header": {name: expectation}}. An expectation is
{"is": text}, {"one_of": [text]}, {"min": number, "max": number, "integral": whether the text must be an integer},
{"text": true} for any text, or, for a list, {"first_of": [text], "limit": how many are enough}.

A value that moves is taken from the samples around the heartbeat's arrival, with a tolerance. A rate is taken between
two heartbeats; each may have been made up to LATENCY before it arrived, which gives a least and a greatest rate.
"""

import json
import os
import re
import sys
import time

import psutil

import host
import identity

LATENCY = 0.5
# The agent keeps the rates of the sample before where two are closer than a second.
SHORTEST_INTERVAL = 1.1
MEBIBYTE = 1 << 20


def integer(low, high):
    return {"min": max(0, low), "max": high, "integral": True}


def fraction(low, high):
    return {"min": max(0.0, low), "max": high, "integral": False}


class Samples:
    def __init__(self, folder):
        with open(os.path.join(folder, "samples.jsonl"), encoding="utf-8") as file:
            # The last may be unfinished.
            self.all = [json.loads(line) for line in file if line.endswith("\n")]

    def around(self, start, end):
        """Those of a time, with one neighbour at each side."""
        before = [sample for sample in self.all if sample["at"] < start][-1:]
        after = [sample for sample in self.all if sample["at"] > end][:1]
        return before + [sample for sample in self.all if start <= sample["at"] <= end] + after


class Moment:
    """When a heartbeat was made, as well as it can be told: shortly before its arrival."""

    def __init__(self, samples, heartbeat):
        self.arrival = heartbeat["at"] / 1e6
        assert -1 <= self.arrival - heartbeat["timestamp"] <= 10, "a timestamp that is not of this time"
        self.samples = samples.around(min(self.arrival - LATENCY, heartbeat["timestamp"] - 0.2), self.arrival)
        self.close_samples = samples.around(self.arrival - LATENCY, self.arrival)

    def host(self, name):
        return [sample["host"][name] for sample in self.samples]

    def process(self, target, name, close=False):
        chosen = self.close_samples if close else self.samples
        found = [sample["processes"][target][name] for sample in chosen if target in sample["processes"]]
        assert found, f"no sample of {target} at {self.arrival}"
        return found


def rate(counter, before, now, slack):
    """Of a counter that grows, between two heartbeats: `counter(moment)` is its values around one of them."""
    elapsed = now.arrival - before.arrival
    low = (min(counter(now)) - max(counter(before))) / (elapsed + LATENCY)
    high = (max(counter(now)) - min(counter(before))) / (elapsed - LATENCY)
    return fraction(low * 0.9 - slack, high * 1.1 + slack)


def busy_share(before, now):
    """Of all processors, between the first and last that the two heartbeats can have seen."""
    shares = []
    for first in (before.close_samples[0], before.close_samples[-1]):
        for last in (now.close_samples[0], now.close_samples[-1]):
            total = last["host"]["total"] - first["host"]["total"]
            if total > 0:
                shares.append((last["host"]["busy"] - first["host"]["busy"]) / total)
    return fraction(min(shares) - 0.1, min(1.0, max(shares) + 0.1))


def created_exactly(pid):
    """psutil's counts from the boot's time in whole seconds: of a process that is some seconds old that is too much."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def process_fields(target, pid, now, before):
    """before is the moment of the heartbeat that the rates are since: None for the first, "close" if it is too close."""
    created = psutil.Process(pid).create_time()
    resident = now.process(target, "rss")
    descriptors = now.process(target, "descriptors")
    fields = {
        "pid": {"is": str(pid)},
        "start_time": integer(created - 2, created + 2),
        "rss": integer(min(resident) * 0.75 - MEBIBYTE, max(resident) * 1.25 + MEBIBYTE),
        "nfd": integer(min(descriptors) - 2, max(descriptors) + 2),
    }
    for field, name in (("read_speed", "read"), ("write_speed", "written")):
        counter = lambda moment, name=name: moment.process(target, name, close=True)
        if before is None:
            # Of the whole life of the process.
            age = now.arrival - created_exactly(pid)
            low, high = min(counter(now)) / age, max(counter(now)) / max(age - LATENCY, 0.2)
            fields[field] = fraction(low * 0.9 - 4096, high * 1.1 + 4096)
        elif before == "close":
            fields[field] = fraction(0, max(counter(now)) * 10 + 4096)
        else:
            fields[field] = rate(counter, before, now, 4096)
    if before is None:
        fields["cpu"] = fraction(0, 0)
    elif before == "close":
        fields["cpu"] = fraction(0, now.process(target, "processors")[-1])
    else:
        fields["cpu"] = rate(lambda moment: moment.process(target, "cpu", close=True), before, now, 0.05)
    return fields


def folder_size(samples, target, now, before):
    """A size that is not taken anew for every heartbeat is as good; the first may come before it is known, and before
    the agent has noted its ledger there."""
    seen = [sample["processes"][target]["folder"] for sample in samples.all
            if sample["at"] <= now.arrival + 1 and target in sample["processes"]]
    most = max(high for _, high in seen) + 65536
    return integer(0 if before is None else min(low for low, _ in seen) - 1024, most)


def tls_library(pid):
    """The version text in the libcrypto that the process has mapped, or in its program where there is none."""
    paths = {entry.path for entry in psutil.Process(pid).memory_maps() if "libcrypto" in entry.path}
    content = host.content((list(paths) or [f"/proc/{pid}/exe"])[0])
    versions = re.findall(rb"OpenSSL [0-9]\.[0-9]+\.[0-9]+[^\0]{0,24} [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4}\0", content)
    return {"one_of": sorted({version[:-1].decode("ascii") for version in versions})}


def host_fields(now, before):
    processors = now.process("agent", "processors")[-1]
    fields = {
        "nproc": {"is": str(processors)},
        "total_mem": {"is": str(psutil.virtual_memory().total)},
        "running_procs": integer(0, max(now.host("running")) + 16),
        "total_procs": integer(min(now.host("tasks")) * 0.9 - 16, max(now.host("tasks")) * 1.1 + 16),
        "boot_time": host.boot_time(),
        "mem_usage": fraction(min(now.host("memory")) - 0.05, min(1, max(now.host("memory")) + 0.05)),
        "cpu_usage": busy_share(before, now) if isinstance(before, Moment) else fraction(0, 1),
        "cpu_name": host.processor_name(),
        "dns": host.name_servers(),
        "gateway": host.gateway(),
    }
    for index, name in enumerate(("load_1", "load_5", "load_15")):
        values = [load[index] for load in now.host("load")]
        fields[name] = fraction(min(values) - 0.011, max(values) + 0.011)
    for facts in (host.uname(), host.platform(), host.board()):
        fields.update(facts)
    return fields


def traffic_fields():
    """What only the test knows narrows these."""
    fields = {name: fraction(0, 1e12) for name in ("rx_speed", "tx_speed", "rx_tps", "tx_tps")}
    for name in ("received", "confirmed", "malformed", "queued", "spooled", "dropped", "resent"):
        fields["ledger_" + name] = integer(0, 1e12)
    return fields


def agent_fields(run, samples, now, before):
    agent = run["agent"]
    fields = {
        "state": {"is": "running"}, "state_detail": {"is": "[]"}, "idc": host.named("idc", agent["idc"]),
        "region": host.named("region", agent["region"]), "net_mode": {"is": "private"},
        "du": folder_size(samples, "agent", now, before), "tls_library": tls_library(agent["pid"]), "ngr": integer(1, max(now.process("agent", "threads"))),
    }
    fields.update(process_fields("agent", agent["pid"], now, before))
    fields.update(host_fields(now, before))
    fields.update(traffic_fields())
    return fields


def plugin_fields(run, samples, name, now, before):
    plugin = run["plugins"][name]
    fields = {"name": host.named("name", name), "pversion": {"is": plugin["version"]},
              "du": folder_size(samples, name, now, before), "restarts": {"is": "0"}}
    fields.update(process_fields(name, plugin["pid"], now, before))
    fields.update(traffic_fields())
    if before is None:
        # "0 in the first sample", unless that was taken at the start of the plugin.
        age = now.arrival - created_exactly(plugin["pid"])
        used = max(now.process(name, "cpu", close=True))
        fields["cpu"] = fraction(0, used / max(age - LATENCY, 0.2) * 1.1 + 0.05)
    return fields


def header(run):
    expected = {
        "agent_id": {"is": identity.identity() or run["agent"]["kept_id"]}, "hostname": {"is": os.uname().nodename},
        "version": {"is": run["agent"]["version"]}, "product": {"is": "elkeid-agent"},
    }
    for name, addresses in host.addresses().items():
        expected[name] = {"first_of": addresses, "limit": 5}
    return expected


def main():
    run = json.load(sys.stdin)
    samples = Samples(run["folder"])
    expectations, since = [], {}
    for heartbeat in run["heartbeats"]:
        target = heartbeat["target"]
        now = Moment(samples, heartbeat)
        before = since.get(target)
        if before is not None and now.arrival - before.arrival < SHORTEST_INTERVAL:
            before = "close"
        else:
            since[target] = now
        if heartbeat["data_type"] == 1000:
            fields = agent_fields(run, samples, now, before)
        else:
            fields = plugin_fields(run, samples, target, now, before)
        expectations.append({"fields": fields, "header": header(run)})
    json.dump(expectations, sys.stdout)


if __name__ == "__main__":
    main()
