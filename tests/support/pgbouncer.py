# SPDX-License-Identifier: MIT
"""A private pgbouncer in transaction mode in front of a private PostgreSQL."""
import os
import shutil
import signal
import socket
import subprocess
import time

from support import postgres

CONFIG = """[databases]
{name} = host={sockets} port={port} dbname={name}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 100
logfile = {log}
"""


def find_program():
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


class Pgbouncer:
    def __init__(self, folder, server, pool=2):
        self.folder, self.port = folder, postgres.free_port()
        os.makedirs(folder)
        self.config, users = (os.path.join(folder, n) for n in ("pgbouncer.ini", "users.txt"))
        with open(users, "w", encoding="ascii") as f:
            f.write('"%s" ""\n' % postgres.OWNER)
        with open(self.config, "w", encoding="ascii") as f:
            f.write(CONFIG.format(name=postgres.NAME, sockets=server.sockets, port=server.port,
                                  own=self.port, users=users, pool=pool,
                                  log=os.path.join(folder, "log")))
        self.user = postgres.plain_user()
        if self.user:
            for path in (folder, self.config, users):
                os.chown(path, *self.user)
        self.process = None

    def start(self):
        user = {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}
        self.process = subprocess.Popen([find_program(), "-q", self.config], cwd="/", **user,
                                        env=postgres.clean_environment(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + postgres.START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError as e:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise postgres.Error("pgbouncer did not start") from e
                time.sleep(0.02)

    def string(self):
        return "host=127.0.0.1 port=%d user=%s dbname=%s" % (self.port, postgres.OWNER,
                                                             postgres.NAME)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
