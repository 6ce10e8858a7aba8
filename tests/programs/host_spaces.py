"""Hosts on one machine: each a network, name (UTS) and mount namespace, joined by veth pairs to a
bridge in a namespace of its own. Open MPI starts its daemons in them through a launch agent instead
of ssh, and takes them for machines of their own: other names, no shared memory, TCP alone. The
namespaces live as long as the processes that hold them: nothing is left behind."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from lockstep_run import Job

TOOLS = ("unshare", "nsenter", "ip", "mount")


def why_not():
    """The reason why this machine permits no such hosts, or None."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"these commands are missing: {', '.join(missing)} (packages util-linux, iproute2)"
    if os.geteuid() != 0:
        return "network namespaces and veth pairs need root"
    attempt = subprocess.run(["unshare", "--net", "--uts", "--mount", "ip", "link", "add", "one",
                              "type", "veth", "peer", "name", "two"], capture_output=True, text=True)
    if attempt.returncode != 0:
        return "no namespaces or veth pairs are permitted here: " + attempt.stderr.strip()
    return None


def command_line(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)


class Hosts:
    """with Hosts(2) as hosts: hosts.mpirun([2, 2], "train", ...)"""

    def __init__(self, count):
        self.names = [f"node{i}" for i in range(count)]
        self.folder = tempfile.mkdtemp(prefix="lockstep-hosts-")
        self.holders = {}

    def __enter__(self):
        addresses = "127.0.0.1 localhost\n" + "".join(
            f"10.77.0.{i + 1} {name}\n" for i, name in enumerate(self.names))
        Path(self.folder, "hosts").write_text(addresses)
        self.hold("switch")
        self.inside("switch", "ip", "link", "add", "bridge", "type", "bridge")
        self.inside("switch", "ip", "link", "set", "bridge", "up")
        for i, name in enumerate(self.names):
            self.hold(name)
            self.inside("switch", "ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name",
                        "eth0", "netns", self.holders[name].pid)
            self.inside("switch", "ip", "link", "set", f"to-{name}", "up", "master", "bridge")
            self.inside(name, "ip", "link", "set", "lo", "up")
            self.inside(name, "ip", "address", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
            self.inside(name, "ip", "link", "set", "eth0", "up")
            self.inside(name, "hostname", name)
            self.inside(name, "mount", "--bind", f"{self.folder}/hosts", "/etc/hosts")
        self.write_agent()
        return self

    def __exit__(self, *error):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()
        shutil.rmtree(self.folder)

    def hold(self, name):
        """A process that sleeps in namespaces of its own, until this one is gone."""
        self.holders[name] = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "sh", "-c", "echo there; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.holders[name].stdout.readline()

    def enter(self, name):
        return ["nsenter", f"--target={self.holders[name].pid}", "--net", "--uts", "--mount",
                f"--wdns={os.getcwd()}"]

    def inside(self, name, *words):
        return command_line(*self.enter(name), *words).stdout

    def write_agent(self):
        """AGENT HOST COMMAND...: what ssh would do. It runs on the first host and outlives the host
        that it called, as ssh's client does until TCP gives up: mpirun hears of a dead host by the
        connection to its daemon, and names it. Were the agent to fail first, mpirun would not."""
        self.agent = Path(self.folder, "agent")
        cases = "".join(f"  {name}) pid={self.holders[name].pid} ;;\n" for name in self.names)
        self.agent.write_text(
            "#!/bin/sh\nhost=$1\nshift\ncase $host in\n" + cases +
            "  *) echo \"no host $host\" >&2; exit 1 ;;\nesac\n"
            "nsenter --target=$pid --net --uts --mount sh -c \"$*\" && exit\n"
            "status=$?\n"
            "while kill -0 $PPID 2>/dev/null; do sleep 0.1; done\n"
            "exit $status\n")
        self.agent.chmod(0o755)

    def mpirun(self, ranks, *command, by="slot", executable):
        """A job with ranks[i] ranks on host i, started on the first host."""
        hosts = ",".join(f"{name}:{count}" for name, count in zip(self.names, ranks))
        return Job([*self.enter(self.names[0]), "mpirun", "--mca", "plm_rsh_agent", str(self.agent),
                    "--mca", "plm", "rsh", "--mca", "btl_tcp_if_include", "eth0",
                    "--mca", "oob_tcp_if_include", "eth0",
                    "--bind-to", "none", "--map-by", by, "--host", hosts, "-np", str(sum(ranks)),
                    executable, *map(str, command)])

    def sent_bytes(self, name):
        """Not from /sys, which shows the namespace of whoever mounted it."""
        link = json.loads(self.inside(name, "ip", "-s", "-json", "link", "show", "dev", "eth0"))[0]
        return link["stats64"]["tx"]["bytes"]

    def processes(self, name):
        """Ids of all that runs on the host, but for its holder."""
        namespace = os.readlink(f"/proc/{self.holders[name].pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if os.readlink(entry / "ns" / "net") == namespace:
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue
        return [pid for pid in found if pid != self.holders[name].pid]

    def running(self, name, executable):
        """Whether a process of the host runs this file."""
        for pid in self.processes(name):
            try:
                if os.path.samefile(f"/proc/{pid}/exe", executable):
                    return True
            except OSError:
                continue
        return False

    def kill(self, name):
        for pid in self.processes(name):
            os.kill(pid, signal.SIGKILL)

    def unplug(self, name):
        self.inside("switch", "ip", "link", "set", f"to-{name}", "down")
