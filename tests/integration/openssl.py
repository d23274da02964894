# SPDX-License-Identifier: MIT
"""openssl s_client, for what Python's own TLS cannot be made to do."""
import subprocess

from bed import WAIT


def s_client(bed, *options, port=None, script=b"QUIT\r\n", stls=False, expect_failure=False):
    """openssl s_client's report and what the server said."""
    command = ["openssl", "s_client", "-connect", "%s:%d" % (bed.host, port or (
        bed.port if stls else bed.tls_port)), "-CAfile", bed.ca, "-ign_eof",
        *(["-starttls", "pop3"] if stls else []), *options]
    run = subprocess.run(command, input=script, capture_output=True, timeout=WAIT, check=False)
    text = (run.stdout + run.stderr).decode("latin-1")
    if expect_failure != (run.returncode != 0):
        raise AssertionError("%s: status %d\n%s" % (" ".join(command), run.returncode, text))
    return text
