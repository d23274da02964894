# SPDX-License-Identifier: MIT
"""Starts a bed's server, waits until it answers, stops it."""
import json
import os
import signal
import socket
import ssl
import subprocess
import time

from support import postgres, processes

START_SECONDS = 30   # on a machine that builds beside it
PORT_TRIES = 5
STOP_SECONDS = 10    # for what is orderly; then the rest is killed and that is an error


class Error(Exception):
    """Why the server is not there."""


def start(bed, choose_ports):
    """Returns the bed's state, which is in testbed.json too."""
    for attempt in range(PORT_TRIES):
        if attempt > 0:
            bed.set_ports(choose_ports(bed.options))
        process = _spawn(bed)
        trouble = _wait_ready(bed, process)
        if trouble is None:
            return _write_state(bed, process.pid)
        _kill_session(process.pid)
        process.wait()
        if not (_says_port_taken(trouble) and not bed.options.port):
            break
    raise Error("the server did not start\n" + trouble)


def _spawn(bed):
    env = dict(os.environ, **bed.environment())
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    with open(bed.path("stderr"), "ab") as errors:
        return subprocess.Popen([os.path.join(bed.build, "postern"), "-c", bed.config],
                                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                cwd="/", env=env, start_new_session=True)


def _tail(path, octets=4000):
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - octets))
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _wait_ready(bed, process):
    """None once every listener has greeted, or what went wrong."""
    end = time.monotonic() + START_SECONDS
    waiting = {k: v for k, v in bed.ports.items() if v}
    while waiting:
        if process.poll() is not None:
            return "status %d\n%s%s" % (process.returncode, _tail(bed.path("stderr")),
                                        _tail(bed.log))
        if time.monotonic() > end:
            return "no greeting on %s after %d s\n%s%s" % (
                waiting, START_SECONDS, _tail(bed.path("stderr")), _tail(bed.log))
        name, port = next(iter(waiting.items()))
        if _greets(port, name == "tls_port"):
            del waiting[name]
        else:
            time.sleep(0.02)
    return None


def _greets(port, is_tls):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            if is_tls:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                s = context.wrap_socket(s, server_hostname="localhost")
            return s.recv(512).startswith(b"+OK")
    except OSError:
        return False


def _says_port_taken(text):
    return "in use" in text.lower() or "eaddrinuse" in text.lower()


def _write_state(bed, pid):
    state = {
        "host": "127.0.0.1", **bed.ports, "ca": bed.ca, "pid": pid, "dir": bed.dir,
        "config": bed.config, "log": bed.log, "owner": "%d:%d" % bed.owner,
        "maildrops": bed.maildrops, "user": bed.first_user,
        "password": _password_of(bed, bed.first_user),
        "started": processes.started(pid), "in_place": bool(bed.options.location),
        "build": bed.build, "settings": bed.all_settings(),
        "postgres": bed.postgres.folder if bed.postgres else None,
    }
    with open(bed.path("testbed.json"), "w", encoding="utf-8") as f:
        json.dump(state, f)
    return state


def _password_of(bed, user):
    for text in bed.options.user:
        name, _, password = text.partition("=")
        if name == user:
            return password
    return bed.options.password


def _kill_session(sid):
    for pid in processes.in_session(sid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def stop(state):
    """None, or what was not in order. Nothing is left running either way."""
    pid = state["pid"]
    path = os.path.join(state["dir"], "testbed.json")
    problem = None
    if processes.started(pid) == state["started"]:
        os.kill(pid, signal.SIGTERM)
        # A session left open would be waited for; the second one says that there is no need.
        if not processes.wait_until(lambda: not processes.in_session(pid), 1):
            if processes.started(pid) == state["started"]:
                os.kill(pid, signal.SIGTERM)
        if not processes.wait_until(lambda: not processes.in_session(pid), STOP_SECONDS):
            problem = "the server did not stop within %d s of SIGTERM" % STOP_SECONDS
    is_ours = processes.started(pid) in (None, state["started"])  # else the number was given anew
    if is_ours and processes.in_session(pid):
        problem = problem or "the master was gone, but not its workers"
        _kill_session(pid)
        processes.wait_until(lambda: not processes.in_session(pid), STOP_SECONDS)
    if state.get("postgres") and not postgres.Postgres(state["postgres"]).stop():
        problem = problem or "PostgreSQL did not stop"
    os.rename(path, path + ".stopped")
    return problem
