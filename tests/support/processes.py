# SPDX-License-Identifier: MIT
"""What /proc tells of a server's processes: those of one session (setsid), by their start time."""
import os
import time


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name, from the state on; [] where there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


def started(pid):
    """When the process began, in clock ticks since boot: pid and this name one process for good."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def in_session(sid):
    """The pids whose session is sid, zombies left out."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if fields and fields[0] != "Z" and int(fields[3]) == sid:
                found.append(int(name))
    return found


def children(pid):
    """The pids whose parent is pid, zombies left out."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if fields and fields[0] != "Z" and int(fields[1]) == pid:
                found.append(int(name))
    return found


def wait_until(condition, seconds, step=0.01):
    """Polls until condition() is true; what it gave last."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)
