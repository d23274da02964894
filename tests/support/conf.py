# SPDX-License-Identifier: MIT
"""Settings by their full names into a configuration file that the server reads."""
import os


def text_of(value):
    """A libconfig value; every scalar as a string, which each kind of setting takes."""
    if isinstance(value, dict):
        return "{ %s}" % "".join("%s = %s; " % (k, text_of(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return "[ %s ]" % ", ".join(text_of(v) for v in value)
    out = []
    for octet in os.fsencode(str(value)):
        if octet in b'"\\':
            out.append("\\" + chr(octet))
        elif 0x20 <= octet < 0x7F:
            out.append(chr(octet))
        else:
            out.append("\\x%02x" % octet)
    return '"%s"' % "".join(out)


def tree_of(settings):
    """{"a.b": 1} as {"a": {"b": 1}}."""
    tree = {}
    for path, value in settings.items():
        names = path.split(".")
        at = tree
        for name in names[:-1]:
            at = at.setdefault(name, {})
        if isinstance(value, dict):
            at.setdefault(names[-1], {}).update(value)
        else:
            at[names[-1]] = value
    return tree


def lines_of(tree, indent=0):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield "%s%s: {" % ("\t" * indent, name)
            yield from lines_of(value, indent + 1)
            yield "%s};" % ("\t" * indent)
        else:
            yield "%s%s = %s;" % ("\t" * indent, name, text_of(value))


def write(path, settings):
    """The file appears whole, so that a reload never reads half of it."""
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("\n".join(lines_of(tree_of(settings))) + "\n")
    os.rename(path + ".new", path)
