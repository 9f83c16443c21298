#!/usr/bin/env python3
"""spoil_machine.py HOW - pass on a machine's exported snapshot (tar), with a fault.

It is too large to be held in memory: its beginning is changed, or one byte of the
rest.
"""
import io
import json
import shutil
import sys
import tarfile

how = sys.argv[1]
source, out = sys.stdin.buffer, sys.stdout.buffer


def put(name, data=b"", **more):
    m = tarfile.TarInfo(name)
    m.size = len(data)
    for key, value in more.items():
        setattr(m, key, value)
    out.write(m.tobuf(tarfile.PAX_FORMAT) + data + b"\0" * (-len(data) % 512))


def take():
    """The first member, a small file, whatever it has been told of."""
    head = source.read(512)
    m = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
    data = source.read(m.size + -m.size % 512)
    return (m.name, data[:m.size]) if m.type == tarfile.REGTYPE else take()


name, data = take()
assert name == "snapshot.json", name
manifest = json.loads(data)
if how == "cpus":
    manifest["config"]["cpus"] = 9
elif how == "folder":
    manifest["config"]["image"] = "/etc"
elif how == "sandbox":
    manifest["config"]["backend"] = "sandbox"
elif how == "disk":
    manifest["of"] = "disk"
elif how == "other-vm":
    manifest["vm"] = "vm_" + "0" * 26
put(name, json.dumps(manifest).encode())
if how == "link":
    put("state", type=tarfile.SYMTYPE, linkname="/etc/passwd")
elif how == "twice":
    put("ram", b"x")
elif how == "synced":
    put("synced", b"x")
if how == "flip":
    out.write(source.read(30 << 20))
    out.write(bytes([source.read(1)[0] ^ 1]))
if how == "cut":
    out.write(source.read(30 << 20))
else:
    shutil.copyfileobj(source, out, 1 << 20)
