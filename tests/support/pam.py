# SPDX-License-Identifier: MIT
"""PAM for a bed, without the system's: libpam_wrapper in front of libpam, and pam_matrix for a
stack, whose users and passwords are in a text file."""
import glob
import os

SERVICE = "postern"
WRAPPER = "libpam_wrapper.so"
MATRIX = "pam_wrapper/pam_matrix.so"


def _find(name):
    found = glob.glob("/usr/lib/*/" + name) + glob.glob("/usr/lib/" + name)
    return found[0] if found else None


def is_there():
    return bool(_find(WRAPPER) and _find(MATRIX))


def write(folder, users):
    """users: (name, password). The service's rules and its users, in folder."""
    os.makedirs(folder, exist_ok=True)
    passdb = os.path.join(folder, "passdb")
    with open(passdb, "w", encoding="utf-8") as f:
        for name, password in users:
            f.write("%s:%s:%s\n" % (name, password, SERVICE))
    with open(os.path.join(folder, SERVICE), "w", encoding="utf-8") as f:
        for phase in ("auth", "account", "session"):
            f.write("%s required %s passdb=%s\n" % (phase, _find(MATRIX), passdb))


def environment(folder):
    return {"LD_PRELOAD": _find(WRAPPER), "PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": folder}
