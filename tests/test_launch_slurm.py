"""launch --backend slurm on a real Slurm of one node, which the test starts for itself."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import queue_jobs
from queue_jobs import wait_for

ROOT = Path(__file__).resolve().parent.parent
start = partial(queue_jobs.start, "slurm")
launch = partial(queue_jobs.launch, "slurm")
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged")
PATH = os.environ["PATH"] + ":/usr/sbin"
MISSING = [name for name in NEEDED if shutil.which(name, path=PATH) is None]

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING} here: apt-get install slurm-wlm munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start slurmd"),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment of a Slurm that runs; it ends with the module."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=free_ports(2)))
    munge = folder / "munge"
    environment = {
        **os.environ,
        "SLURM_CONF": str(configuration),
        "PATH": PATH,
        "OMP_NUM_THREADS": "1",
    }
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket"]
        + [f"--{name}-file={munge}/{name}" for name in ("pid", "log", "seed")],
        ["slurmctld", "-D", "-f", str(configuration)],
        ["slurmd", "-D", "-f", str(configuration)],
    ]
    processes = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as output:
                processes.append(
                    subprocess.Popen(command, stdout=output, stderr=output, env=environment)
                )
            if command[0] == "munged":
                wait_for((munge / "socket").exists)
        states = ["sinfo", "-h", "-o", "%T"]
        wait_for(
            lambda: (
                subprocess.run(
                    states, env=environment, capture_output=True, text=True
                ).stdout.strip()
                == "idle"
            )
        )
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True)
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def test_an_array_leaves_the_logs_of_local_jobs(slurm, tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    status, stderr = launch(
        slurm, folder, "--max-jobs", 2, "--num-threads", 3, "JOB=2:4", "my log/x.JOB.log",
        "bash", "-c", "echo job JOB has $OMP_NUM_THREADS of $SLURM_CPUS_PER_TASK; "
        "squeue -h -r -t R -j $SLURM_ARRAY_JOB_ID | wc -l",
    )  # fmt: skip
    assert status == 0, stderr
    assert {p.name for p in (folder / "my log").iterdir()} == {"x.2.log", "x.3.log", "x.4.log"}
    lines = (folder / "my log" / "x.3.log").read_text().splitlines()
    assert lines[0].startswith("# bash -c 'echo job 3") and str(folder) in lines[1]
    assert "of the queue" in lines[1] and lines[-1].endswith("exit status 0")
    assert "job 3 has 3 of 3" in lines
    assert int(lines[5]) <= 2  # throttled


def test_a_failing_task_stops_the_others_and_is_named(slurm, tmp_path):
    script = "echo trouble of JOB; [ JOB = 2 ] && exit 7; sleep 30 && touch ran.JOB"
    status, stderr = launch(slurm, tmp_path, "JOB=1:3", "x.JOB.log", "bash", "-c", script)
    assert status == 1
    assert "job 2 failed with exit status 7" in stderr and "x.2.log" in stderr
    assert "  | trouble of 2" in stderr
    assert not list(tmp_path.glob("ran.*"))


def test_a_cancelled_job_is_noticed(slurm, tmp_path):
    process = start(slurm, tmp_path, "gone.log", "bash", "-c", "touch on; sleep 60")
    wait_for((tmp_path / "on").exists)
    subprocess.run(["scancel", "--name=gone"], env=slurm, check=True)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "gone.log failed: it was cancelled" in stderr


def test_a_job_that_dies_with_all_its_processes_is_named(slurm, tmp_path):
    script = "touch on; kill -KILL $PPID; sleep 60"
    status, stderr = launch(slurm, tmp_path, "dead.log", "bash", "-c", script)
    assert status == 1
    assert "dead.log failed: it has ended with exit code 0:9 and left no status" in stderr


def test_a_job_that_cannot_write_its_log_is_named(slurm, tmp_path):
    (tmp_path / "log").mkdir()
    spec = "import shutil, sys; shutil.rmtree('log')"
    process = start(slurm, tmp_path, "log/x.log", sys.executable, "-c", spec)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "it has left no log" in stderr


def test_a_training_that_saved_its_state_is_queued_again(slurm, tmp_path):
    """As at the end of its time: Slurm's SIGUSR1 reaches the command, which ends with 99."""
    script = (
        "trap 'touch saved; exit 99' USR1; [ -e saved ] && exit 0; touch on;"
        " while true; do sleep 0.1; done"
    )
    process = start(slurm, tmp_path, "--time", "10", "again.log", "bash", "-c", script)
    wait_for((tmp_path / "on").exists)
    subprocess.run(["scancel", "-b", "-s", "USR1", "--name=again"], env=slurm, check=True)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "again.log saved its state and is queued again" in stderr
    assert "exit status 99" in (tmp_path / "again.log.old").read_text()
    assert "exit status 0" in (tmp_path / "again.log").read_text()


def test_ctrl_c_cancels_and_lets_the_jobs_save(slurm, tmp_path):
    script = "trap 'sleep 0.3; touch saved; exit 99' TERM; touch on; while true; do sleep 0.1; done"
    process = start(slurm, tmp_path, "x.log", "bash", "-c", script)
    wait_for((tmp_path / "on").exists)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "saved").exists() and "stopped; logs: x.log" in stderr


def test_a_refusal_is_passed_on(slurm, tmp_path):
    status, stderr = launch(slurm, tmp_path, "--partition", "nowhere", "x.log", "true")
    assert status == 1 and "sbatch did not take the jobs" in stderr
    assert "invalid partition specified: nowhere" in stderr
    status, stderr = launch({**slurm, "PATH": "/nowhere"}, tmp_path, "x.log", "true")
    assert status == 1 and "a machine that can submit jobs" in stderr


def test_check_cmd_says_what_came_back(slurm, tmp_path):
    done = subprocess.run(
        [ROOT / "utils" / "check_cmd", "--cmd", "launch --backend slurm --mem 100"],
        cwd=tmp_path, env=slurm, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 jobs ran" in done.stdout and socket.gethostname() in done.stdout
    done = subprocess.run(
        [ROOT / "utils" / "check_cmd", "--cmd", "launch --backend slurm", "--gpu", "1"],
        cwd=tmp_path, env=slurm, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and "did not take the jobs" in done.stderr


@pytest.mark.thorough
def test_stages_run_through_the_queue(slurm, tmp_path, write_features):
    """Training, embedding and clustering on two "machines", jobs of one array that find each
    other; embedding in pieces."""
    data = write_features(tmp_path / "data", [30 + n for n in range(12)])
    (tmp_path / "banks").mkdir()
    (tmp_path / "banks" / ".banks.done").touch()
    settings = {
        "model.name": "fast_resnet34", "model.mel_bins": 8, "model.channels": "[16,16,16,16]",
        "model.embedding_dim": 8, "data.crop_seconds": 0.2, "augment.room_probability": 0,
        "train.batch_size": 4, "train.epochs": 2, "train.workers": 0, "method.temperature": 0.1,
    }  # fmt: skip
    config = tmp_path / "conf.yaml"
    config.write_text("train: {seed: 0}\n")
    environment = {**slurm, "cmd": "launch --backend slurm", "SV_PYTHON": sys.executable}
    exp = tmp_path / "an exp"

    def stage(script, *words):
        done = subprocess.run(
            [ROOT / "local" / script, *map(str, words)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    changes = " ".join(f"{name}={value}" for name, value in settings.items())
    stage(
        "train.sh",
        "--nnodes",
        2,
        "--config",
        config,
        "--set",
        changes,
        data,
        tmp_path / "banks",
        exp,
    )
    for number in (1, 2):
        log = (exp / "log" / f"train.{number}.log").read_text()
        assert "of the queue" in log and log.splitlines()[-1].endswith("exit status 0")
    assert "2 processes" in (exp / "log" / "train.1.log").read_text()
    model = exp / "checkpoints" / "epoch_0002.pt"
    stage("embed.sh", "--nj", 2, model, data, exp)
    pieces = (exp / "embeddings" / "data.scp").read_text()
    vectors = (exp / "embeddings" / "data.ark").read_bytes()
    assert len(pieces.splitlines()) == 12 and not (exp / "embeddings" / "data.pieces").exists()
    stage("embed.sh", "--force", "true", model, data, exp)
    assert (exp / "embeddings" / "data.scp").read_text() == pieces
    assert len((exp / "embeddings" / "data.ark").read_bytes()) == len(vectors)
    alone = (exp / "embeddings" / "data.ark").read_bytes()
    stage("embed.sh", "--nnodes", 2, "--force", "true", model, data, exp)
    assert (exp / "embeddings" / "data.ark").read_bytes() == alone
    stage("cluster.sh", "--nnodes", 2, "--k", 3, exp / "embeddings" / "data.scp", exp / "clusters")
    assert len((exp / "clusters" / "utt2cluster").read_text().splitlines()) == 12
    for log in ("log/embed.data.2.log", "clusters/log/cluster.2.log"):
        assert (exp / log).read_text().splitlines()[-1].endswith("exit status 0")
