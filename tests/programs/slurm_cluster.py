"""Slurm on this machine alone: munged, slurmctld and slurmd started here, with a configuration in a
temporary folder and ports of their own, and ended with the test. No control groups are needed."""
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from lockstep_run import ENVIRONMENT, HANG, Failure, wait_for

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue")
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CONFIGURATION = """
ClusterName=lockstep
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not():
    """The reason why no Slurm can be started here, or None."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=SEARCH) is None]
    if missing:
        return (f"these programs are missing: {', '.join(missing)} "
                "(packages slurmctld, slurmd, slurm-client, munge)")
    if os.geteuid() != 0:
        return "slurmd needs root"
    return None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """with Cluster() as cluster: number = cluster.submit(...)"""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="lockstep-slurm-"))
        self.folder.chmod(0o755)
        self.environment = dict(ENVIRONMENT, SLURM_CONF=str(self.folder / "slurm.conf"), PATH=SEARCH)
        self.daemons = []

    def __enter__(self):
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o711)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            folder=self.folder, host=host, ports=free_ports(2), cores=os.cpu_count()))
        files = {option: f"--{option}={self.folder}/munge/{option.split('-')[0]}"
                 for option in ("key-file", "socket", "pid-file", "log-file", "seed-file")}
        try:
            self.start("munged", "--foreground", "--num-threads=2", *files.values())
            wait_for((self.folder / "munge" / "socket").exists, "munged")
            self.start("slurmctld", "-D", "-c")
            self.start("slurmd", "-D")
            wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T").split(),
                     "an idle node of the cluster")
        except Failure as failure:
            text = f"{failure}\n{self.logs()}"
            self.__exit__()
            raise Failure(text) from None
        return self

    def __exit__(self, *error):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, program, *arguments):
        self.daemons.append(subprocess.Popen([program, *arguments], env=self.environment,
                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL))

    def ask(self, *command):
        return subprocess.run(list(map(str, command)), env=self.environment, text=True,
                              capture_output=True, timeout=HANG).stdout

    def submit(self, *command, **variables):
        done = subprocess.run(["sbatch", "--parsable", *map(str, command)], text=True,
                              capture_output=True, env=dict(self.environment, **variables))
        if done.returncode != 0:
            raise Failure(f"sbatch: {done.stderr}\n{self.logs()}")
        return int(done.stdout.split(";")[0])

    def state(self, job):
        """(state, how often it was requeued, exit code) of a job: ("COMPLETED", 1, 0)"""
        words = dict(word.split("=", 1) for word in self.ask("scontrol", "show", "job", job).split()
                     if "=" in word)
        return words["JobState"], int(words["Restarts"]), int(words["ExitCode"].split(":")[0])

    def logs(self):
        return "".join(f"--- {path.name}\n" + "".join(path.read_text().splitlines(True)[-15:])
                       for path in sorted(self.folder.glob("*.log")))
