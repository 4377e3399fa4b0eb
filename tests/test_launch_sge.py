"""launch --backend sge on a real GridEngine of one machine, which the test starts for itself."""

import os
import shutil
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
import queue_jobs
from queue_jobs import wait_for

ROOT = Path(__file__).resolve().parent.parent
start = partial(queue_jobs.start, "sge")
launch = partial(queue_jobs.launch, "sge")
DEBIAN, TOOLS = Path("/var/lib/gridengine"), Path("/usr/lib/gridengine")
SHARED = Path("/usr/share/gridengine")
MISSING = [
    str(path)
    for path in (Path("/usr/sbin/sge_qmaster"), Path("/usr/sbin/sge_execd"), TOOLS / "qsub")
    if not path.exists()
]

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"no {MISSING} here: apt-get install gridengine-{{master,exec,client}}",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start sge_execd"),
]

BOOTSTRAP = """admin_user none
default_domain none
ignore_fqdn false
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {folder}/spooldb
binary_path /usr/sbin
qmaster_spool_dir {folder}/qmaster
security_mode none
listener_threads 1
worker_threads 1
scheduler_threads 1
"""

HOST = "hostname localhost\nload_scaling NONE\ncomplex_values NONE\nuser_lists NONE\n" + "".join(
    f"{name} NONE\n" for name in ("xuser_lists", "projects", "xprojects", "usage_scaling")
)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def changed(text, **values):
    """Return lines "name value" with other values for some names."""
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    return "".join(f"{name} {values.get(name, value)}\n" for name, value in lines)


@pytest.fixture(scope="module")
def sge():
    """Environment of a GridEngine that runs; it ends with the module."""
    # Paths of GridEngine may not be long, as those of pytest are.
    folder = Path(f"/tmp/sge.{os.getpid()}")
    master, execd = free_ports(2)
    environment = {
        **os.environ,
        "SGE_ROOT": str(folder), "SGE_CELL": "default", "SGE_ND": "1",
        "SGE_QMASTER_PORT": master, "SGE_EXECD_PORT": execd, "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = []

    def call(*words):
        done = subprocess.run(
            [str(word) for word in words],
            env=environment, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(name):
        with (folder / f"{name}.out").open("wb") as out:
            processes.append(
                subprocess.Popen([f"/usr/sbin/{name}"], env=environment, stdout=out, stderr=out)
            )

    def answers(*words):
        def ask():
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
            return done.returncode == 0

        return ask

    try:
        for name in ("default/common", "qmaster/job_scripts", "spooldb", "execd"):
            (folder / name).mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (folder / name).symlink_to(DEBIAN / name)
        common = folder / "default" / "common"
        (common / "bootstrap").write_text(BOOTSTRAP.format(folder=folder))
        (common / "act_qmaster").write_text("localhost\n")
        (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        (folder / "configuration").write_text(
            changed(
                (SHARED / "default-configuration").read_text(),
                execd_spool_dir=folder / "execd", min_uid=0, min_gid=0, gid_range="20000-20100",
                load_report_time="00:00:02",
            )
        )  # fmt: skip
        call(TOOLS / "spoolinit", "berkeleydb", "libspoolb", folder / "spooldb", "init")
        spool = TOOLS / "spooldefaults"
        call(spool, "configuration", folder / "configuration")
        call(spool, "complexes", SHARED / "util" / "resources" / "centry")
        call(spool, "usersets", SHARED / "util" / "resources" / "usersets")
        call(spool, "managers", "root")
        begin("sge_qmaster")
        wait_for(answers("qconf", "-sh"))
        call("qconf", "-as", "localhost")
        (folder / "host").write_text(HOST + "report_variables NONE\n")
        call("qconf", "-Ae", folder / "host")
        (folder / "schedule").write_text(
            changed(
                call("qconf", "-ssconf"),
                schedule_interval="0:0:1", flush_submit_sec=1, flush_finish_sec=1,
            )
        )  # fmt: skip
        call("qconf", "-Msconf", folder / "schedule")
        (folder / "queue").write_text(
            changed(
                call("qconf", "-sq"),
                qname="main.q", hostlist="localhost", slots=8, load_thresholds="NONE",
                notify="00:00:05", pe_list="NONE", rerun="TRUE",
            )
        )  # fmt: skip
        call("qconf", "-Aq", folder / "queue")
        begin("sge_execd")
        wait_for(lambda: "lx-amd64" in call("qhost"))
        yield environment
    finally:
        subprocess.run(["qdel", "-f", "-u", "*"], env=environment, capture_output=True)
        for process in reversed(processes):
            process.terminate()
            with_patience(process)
        shutil.rmtree(folder, ignore_errors=True)


def with_patience(process):
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_an_array_leaves_the_logs_of_local_jobs(sge, tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    status, stderr = launch(sge, folder, "JOB=2:3", "my log/x.JOB.log", "echo", "job JOB", "a  b")
    assert status == 0, stderr
    assert {p.name for p in (folder / "my log").iterdir()} == {"x.2.log", "x.3.log"}
    lines = (folder / "my log" / "x.3.log").read_text().splitlines()
    assert str(folder) in lines[1] and "of the queue" in lines[1]
    assert "job 3 a  b" in lines and lines[-1].endswith("exit status 0")


def test_a_failing_task_stops_the_others_and_is_named(sge, tmp_path):
    script = "echo trouble of JOB; [ JOB = 2 ] && exit 7; sleep 40 && touch ran.JOB"
    status, stderr = launch(sge, tmp_path, "JOB=1:3", "x.JOB.log", "bash", "-c", script)
    assert status == 1
    assert "job 2 failed with exit status 7" in stderr and "  | trouble of 2" in stderr
    assert not list(tmp_path.glob("ran.*"))


def test_a_deleted_job_is_noticed(sge, tmp_path):
    process = start(sge, tmp_path, "gone.log", "bash", "-c", "touch on; sleep 60")
    wait_for((tmp_path / "on").exists)
    time.sleep(1)  # it forgets signals to jobs that it has not yet heard of as running
    subprocess.run(["qdel", "gone"], env=sge, check=True, capture_output=True)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and "gone.log failed" in stderr


def test_a_training_that_saved_its_state_is_queued_again(sge, tmp_path):
    script = "[ -e saved ] && exit 0; touch saved; exit 99"
    status, stderr = launch(sge, tmp_path, "again.log", "bash", "-c", script)
    assert status == 0, stderr
    assert "exit status 99" in (tmp_path / "again.log.old").read_text()
    assert "exit status 0" in (tmp_path / "again.log").read_text()


def test_ctrl_c_lets_the_jobs_save(sge, tmp_path):
    script = "trap 'sleep 0.3; touch saved; exit 99' TERM; touch on; while true; do sleep 0.1; done"
    process = start(sge, tmp_path, "x.log", "bash", "-c", script)
    wait_for((tmp_path / "on").exists)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "saved").exists() and "stopped; logs: x.log" in stderr


def test_a_refusal_is_passed_on(sge, tmp_path):
    status, stderr = launch(sge, tmp_path, "--mem", "much", "x.log", "true")
    assert status == 1 and "qsub did not take the jobs" in stderr and "mem_free" in stderr
