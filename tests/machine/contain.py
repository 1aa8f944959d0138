"""Runs a program as a container engine would: with its own root, which is read-only except for the
volumes, its own mounts, processes and environment, and as a user without privileges. Run by `unshare`;
containers.rs passes the arguments:

    contain.py ROOT '{"user": 10001, "folder": "/x", "environment": {…}, "volumes": {…}, "line": […]}'
"""

import ctypes
import json
import os
import sys

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24

libc = ctypes.CDLL(None, use_errno=True)


def must(outcome):
    if outcome != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags):
    must(libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None))


root, said = sys.argv[1], json.loads(sys.argv[2])
mount("none", "/", None, MS_REC | MS_PRIVATE)
mount(root, root, None, MS_BIND)
for target, (source, is_read_only) in said["volumes"].items():
    os.makedirs(root + target, exist_ok=True)
    mount(source, root + target, None, MS_BIND)
    if is_read_only:
        mount("none", root + target, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
os.makedirs(root + "/proc", exist_ok=True)
mount("proc", root + "/proc", "proc", MS_NOSUID)
os.makedirs(root + "/dev", exist_ok=True)
for device in ["null", "zero", "random", "urandom"]:
    open(root + "/dev/" + device, "w").close()
    mount("/dev/" + device, root + "/dev/" + device, None, MS_BIND)
mount("none", root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
os.chroot(root)
os.chdir(said["folder"])
for capability in range(64):
    libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
os.setgroups([])
os.setgid(said["user"])
os.setuid(said["user"])
os.execve(said["line"][0], said["line"], said["environment"])
