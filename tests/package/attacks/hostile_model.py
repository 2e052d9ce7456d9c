"""The hostile package's code: a row names an attack, the answer says whether it worked.

Every attack is bounded, so that the control run outside the sandbox harms nothing: memory is reserved
and not touched, children sleep and end, the large file is sparse. An attack that raises was contained.
"""

import ctypes
import errno
import mmap
import os
import signal
import socket
import struct
import tempfile
from pathlib import Path

import numpy as np
from learnware.model import BaseModel

libc = ctypes.CDLL(None, use_errno=True)
LEAST_CHILDREN = 320
MAP_NORESERVE = 0x4000
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


class Model(BaseModel):
    def __init__(self):
        super().__init__(input_shape=(2,), output_shape=(1,))

    def predict(self, X):
        return np.asarray([outcome(str(name), str(argument)) for name, argument in X])


def outcome(name, argument):
    try:
        return "worked: " + str(ATTACKS[name](argument))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever stops an attack has contained it
        return f"contained: {type(error).__name__}: {error}"


def checked(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def in_child(action):
    """Run an action in a child of one thread; raise what it raised."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise OSError(code, os.strerror(code) if code > 0 else f"signal {-code}")
    return "done in a child"


def read_secret(path):
    return Path(path).read_text()


def write_home(folder):
    path = Path(folder) / "written"
    path.write_text("x")
    return path.exists() and Path(folder, "secret").exists() and path


def write_model(_):
    Path(__file__).with_name("written").write_text("x")
    return "written"


def change_mode(path):
    os.chmod(path, 0o777)
    return oct(os.stat(path).st_mode)


def cut_off(path):
    os.truncate(path, 1)
    return os.stat(path).st_size


def tcp(port):
    with socket.create_connection(("127.0.0.1", int(port)), 2) as connection:
        return connection.recv(8)


def udp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2)
        link.sendto(b"ping", ("127.0.0.1", int(port)))
        return link.recvfrom(64)[0]


def dns(port):
    question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x04leak\x04test\x00" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2)
        link.sendto(question, ("127.0.0.1", int(port)))
        return link.recvfrom(512)[0][:2]


def unix_socket(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        return connection.recv(8)


def abstract_socket(name):
    return unix_socket("\x00" + name)


def signal_process(pid):
    os.kill(int(pid), signal.SIGUSR1)
    return "sent"


def trace_process(pid):
    checked(libc.ptrace(PTRACE_SEIZE, int(pid), None, None))
    os.kill(int(pid), signal.SIGSTOP)
    os.waitpid(int(pid), 0x40000000)
    checked(libc.ptrace(PTRACE_DETACH, int(pid), None, None))
    os.kill(int(pid), signal.SIGCONT)
    return "traced"


def read_environment(argument):
    pid, marker = argument.split()
    if marker in "".join(os.environ.values()):
        return "own environment"
    if marker.encode() not in Path(f"/proc/{pid}/environ").read_bytes():
        raise OSError(errno.ENOENT, "not in the caller's environment")
    return "the caller's environment"


def reserve_memory(_):
    with mmap.mmap(-1, 5 * 2**30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE) as block:
        return len(block)


def fork_children(_):
    children = []
    waiting, parent = os.pipe()
    try:
        for _ in range(LEAST_CHILDREN):
            child = os.fork()
            if child == 0:
                os.close(parent)
                os.read(waiting, 1)
                os._exit(0)
            children.append(child)
    finally:
        os.close(parent)
        os.close(waiting)
        for child in children:
            os.waitpid(child, 0)
    return len(children)


def write_large_file(_):
    with tempfile.TemporaryFile() as file:
        file.seek(300 * 2**20)
        file.write(b"x")
        file.flush()
    return "written"


def mount(_):
    def attempt():
        if libc.unshare(CLONE_NEWNS) != 0:
            checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        checked(libc.mount(b"none", b"/proc", b"tmpfs", 0, None))

    return in_child(attempt)


def new_user_namespace(_):
    return in_child(lambda: checked(libc.unshare(CLONE_NEWUSER)))


def see_processes(pid):
    if pid not in os.listdir("/proc"):
        raise OSError(errno.ESRCH, "the caller is not in /proc")
    return Path(f"/proc/{pid}/cmdline").read_bytes()[:20]


def read_descriptors(argument):
    pid, number = argument.split()
    for path in (f"/proc/{pid}/fd/{number}", f"/proc/{os.getppid()}/fd/{number}"):
        try:
            # Without waiting: the number may be one of the worker's own pipes.
            return os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 64)
        except OSError:
            continue
    return os.pread(int(number), 64, 0)


def leave_group(_):
    return in_child(os.setsid)


def share_memory(_):
    return checked(libc.shmget(0, 4096, 0o1600))


def watch_files(folder):
    watch = checked(libc.inotify_init())
    checked(libc.inotify_add_watch(watch, folder.encode(), 0x100))
    return "watching"


ATTACKS = {
    "read a secret in the home folder": read_secret,
    "write to the home folder": write_home,
    "write to the model's folder": write_model,
    "open a secret to everybody": change_mode,
    "cut a file off": cut_off,
    "connect by TCP": tcp,
    "send by UDP": udp,
    "ask a name server": dns,
    "connect to a Unix socket": unix_socket,
    "connect to an abstract socket": abstract_socket,
    "signal another process": signal_process,
    "trace another process": trace_process,
    "read the caller's environment": read_environment,
    "reserve too much memory": reserve_memory,
    "start too many processes": fork_children,
    "write a huge file": write_large_file,
    "mount a file system": mount,
    "make a user namespace": new_user_namespace,
    "see other processes": see_processes,
    "read the caller's descriptors": read_descriptors,
    "leave the process group": leave_group,
    "make shared memory": share_memory,
    "watch the home folder": watch_files,
}
