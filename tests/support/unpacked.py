# SPDX-License-Identifier: MIT
"""Programs of Debian packages that conflict with installed ones: contrib/install-deps unpacks them."""
import os


def find(name, program):
    """The path of a program of NAME's packages, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in ("/var/cache", cache):
        path = os.path.join(folder, "postern-tests", name, program)
        if os.access(path, os.X_OK):
            return path
    return None
