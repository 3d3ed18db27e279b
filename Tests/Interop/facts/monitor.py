# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
"""Samples the host and some processes, many times a second, so that a heartbeat can be compared with what was there
when it was made.

usage: monitor.py FOLDER    until standard input ends

FOLDER/targets.json says what to watch: {"agent": {"pid": 1, "folder": "/…", "without": "plugin"}}. Each line that is
appended to FOLDER/samples.jsonl is one sample.
"""

import json
import os
import select
import sys
import time

import psutil

PAUSE = 0.025
# Walking folders costs more.
FOLDER_PAUSE = 0.25


def host():
    times, memory = psutil.cpu_times(), psutil.virtual_memory()
    # user and nice have the guests' time in them already.
    all_times = [getattr(times, name, 0.0) for name in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")]
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()
    running, total = load[3].split("/")
    return {
        "total": sum(all_times), "busy": sum(all_times) - times.idle, "load": [float(text) for text in load[:3]],
        # psutil counts reclaimable slabs as cached.
        "memory": (memory.total - memory.free - memory.buffers - memory.cached) / memory.total,
        "running": int(running), "tasks": int(total),
    }


def storage(process):
    """Bytes from and to storage; a kernel or a container may not tell, neither to us nor to the agent."""
    try:
        counters = process.io_counters()
        return counters.read_bytes, counters.write_bytes
    except (psutil.AccessDenied, AttributeError, NotImplementedError):
        return 0, 0


def process(pid):
    try:
        found = psutil.Process(pid)
        with found.oneshot():
            times = found.cpu_times()
            read, written = storage(found)
            return {
                "cpu": times.user + times.system, "rss": found.memory_info().rss, "read": read, "written": written,
                "descriptors": found.num_fds(), "threads": found.num_threads(),
                "processors": len(found.cpu_affinity()),
            }
    except psutil.Error:
        return None


def folder_size(path, without):
    """The least and the most that can be meant: lengths of files alone, and whole blocks with folders."""
    lengths, blocks = 0, 0
    for place, folders, files in os.walk(path):
        if without in folders:
            folders.remove(without)
        for name in files + ["."]:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:
                continue
            lengths += status.st_size if name != "." else 0
            blocks += max(status.st_blocks * 512, status.st_size)
    return [lengths, blocks]


def targets(folder):
    try:
        with open(os.path.join(folder, "targets.json"), encoding="utf-8") as file:
            return json.load(file)
    except OSError:
        return {}


def main():
    folder = sys.argv[1]
    walked, sizes = 0.0, {}
    with open(os.path.join(folder, "samples.jsonl"), "a", encoding="utf-8", buffering=1) as samples:
        while not select.select([sys.stdin], [], [], PAUSE)[0]:
            watched = targets(folder)
            if time.monotonic() - walked > FOLDER_PAUSE:
                sizes = {name: folder_size(it["folder"], it.get("without")) for name, it in watched.items()}
                walked = time.monotonic()
            sample = {"at": time.time(), "host": host(), "processes": {}}
            for name, target in watched.items():
                found = process(target["pid"])
                if found is not None and name in sizes:
                    sample["processes"][name] = dict(found, folder=sizes[name])
            samples.write(json.dumps(sample) + "\n")


if __name__ == "__main__":
    main()
