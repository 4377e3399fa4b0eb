"""Stands in for ``python``: hands a call to the fork server and ends with the status of the call.

Only modules that load in a few milliseconds are used here.
"""

import array
import json
import os
import signal
import socket
import sys


def main(address, argv):
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-m", "-c")):
        os.execv(sys.executable, [sys.executable, *argv])  # a flag, or a program from stdin
    body = json.dumps({"argv": argv, "cwd": os.getcwd(), "environment": dict(os.environ)}).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    descriptors = array.array("i", [0, 1, 2])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
    connection.sendmsg([len(body).to_bytes(8, "little")], rights)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    connection.sendall(body)
    answer = b""
    while part := connection.recv(16):
        answer += part
    status = int(answer or b"1")
    if status < 0:  # the program was killed: so is whoever waits for it told
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main(sys.argv[1], sys.argv[2:])
