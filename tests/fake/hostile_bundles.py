#!/usr/bin/env python3
"""hostile_bundles.py FILE FOLDER - spoil an exported snapshot in many ways.

Each file of FOLDER is FILE with one thing that must be refused.
"""
import copy
import io
import json
import os
import subprocess
import sys
import tarfile

source, folder = sys.argv[1:]
os.mkdir(folder)
plain = subprocess.run(["zstd", "-dc", source], check=True, capture_output=True).stdout
members = []
with tarfile.open(fileobj=io.BytesIO(plain), errors="surrogateescape") as tar:
    for m in tar:
        members.append((m, tar.extractfile(m).read() if m.isreg() else None))


def write(name, items):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT,
                      errors="surrogateescape") as tar:
        for m, data in items:
            tar.addfile(m, io.BytesIO(data) if data is not None else None)
    packed = subprocess.run(["zstd", "-qc"], input=out.getvalue(), check=True,
                            capture_output=True).stdout
    with open(os.path.join(folder, name), "wb") as f:
        f.write(packed)


def member(name, data=b"", **more):
    m = tarfile.TarInfo(name)
    m.size = len(data)
    for key, value in more.items():
        setattr(m, key, value)
    return m, (data if m.isreg() else None)


def changed(name, change):
    items = []
    for m, data in members:
        if m.name == name:
            data = change(data)
            m = copy.copy(m)
            m.size = len(data)
        items.append((m, data))
    return items


def manifest(**more):
    def change(data):
        return json.dumps({**json.loads(data), **more}).encode()
    return changed("snapshot.json", change)


link, device = tarfile.SYMTYPE, tarfile.CHRTYPE
write("up", members + [member("../escaped", b"x")])
write("up-in-disk", members + [member("disk/../../../escaped", b"x")])
write("absolute", members + [member("/tmp/escaped", b"x")])
write("unknown", members + [member("memory.json", b"{}")])
write("through-a-link", members + [
    member("disk/home/l", type=link, linkname="../../../.."),
    member("disk/home/l/escaped", b"x")])
write("over-a-link", members + [
    member("disk/home/l", type=link, linkname="/tmp/escaped"),
    member("disk/home/l", b"x")])
write("hard-link", members + [
    member("disk/home/l", type=tarfile.LNKTYPE, linkname="snapshot.json")])
write("manifest-link", [member("snapshot.json", type=link, linkname="/etc/passwd")]
      + members[1:])
write("device", members + [member("disk/home/d", type=device, devmajor=1, devminor=3)])
write("owner", members + [member("disk/home/o", b"x", uid=70000)])
write("twice", members + [members[0]])
write("more", members + [member("disk/home/more", b"x")])
write("deep", members + [member("/".join(["disk"] + ["d"] * n), type=tarfile.DIRTYPE)
                         for n in range(1, 300)])
write("long", [member("snapshot.json", b" " * (2 << 20))] + members[1:])
write("no-manifest", members[1:])
write("no-hashes", [i for i in members if i[0].name != "hashes.json"])
write("no-commits", [i for i in members if i[0].name != "workspace.pack"])
write("no-disk", [i for i in members if not i[0].name.startswith("disk")])
write("other-version", manifest(hibernacle=2))
write("other-vm", manifest(vm="../../x"))
write("other-cursors", manifest(cursors={"ses_x": 1}))
write("machine", manifest(of="memory"))
manifest_text = [d for m, d in members if m.name == "snapshot.json"][0]
config = json.loads(manifest_text)["config"]
write("host-folder", manifest(config={**config, "image": "/etc"}))
pack = [d for m, d in members if m.name == "workspace.pack"][0]
write("pack-damaged", changed("workspace.pack", lambda d: d[:40] + b"\0\0\0\0" + d[44:]))
write("pack-cut", changed("workspace.pack", lambda d: d[:len(d) // 2]))
log = [m.name for m, _ in members if m.name.endswith(".jsonl")][0]
write("log-damaged", changed(log, lambda d: d.replace(b'"seq":5', b'"seq":6', 1)))
write("log-cut", changed(log, lambda d: d[:len(d) // 2]))
secret = [m.name for m, d in members if m.name.startswith("disk") and d == b"mine\n"][0]
write("disk-changed", changed(secret, lambda d: b"ours\n"))
with open(source, "rb") as f, open(os.path.join(folder, "cut"), "wb") as out:
    out.write(f.read()[:-200])
with open(os.path.join(folder, "noise"), "wb") as out:
    out.write(os.urandom(100000))
with open(os.path.join(folder, "empty"), "wb"):
    pass
