"""What the tests of `hotspare probe` share: a configuration with its commands, and the parts of what a probe prints."""
import json
import os
import shutil
import subprocess
import tempfile

from harness import BIN, SANITIZER, clean_env, expect, yaml

WORDS = 20
TOOLS = {"get_weather": {"city": "Oslo"}, "get_time": {"zone": "CET"}}


class Config:
    """A configuration with a folder for its state, and the commands that read it."""

    def __init__(self, targets, chain, state=True):
        self.folder = tempfile.mkdtemp(prefix="hotspare-probe-")
        self.state = os.path.join(self.folder, "state")
        self.path = os.path.join(self.folder, "hotspare.yaml")
        self.write(targets, chain, state)

    def write(self, targets, chain, state=True):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(yaml(targets, [("*", chain)], {}) + self.more(state))

    def more(self, state=True):
        return f"state_dir: {json.dumps(self.state)}\n" if state else ""

    def run(self, *args, env=None):
        done = subprocess.run([BIN, *args, "--config", self.path], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env=clean_env(HOME=self.folder, **(env or {})), timeout=120)
        if SANITIZER.search(done.stderr):
            raise AssertionError(done.stderr)
        return done

    def probe(self, *args, env=None):
        done = self.run("probe", *args, "--json", env=env)
        return done.returncode, {t["target"]: t for t in json.loads(done.stdout)["targets"]}, done.stderr

    def kept(self):
        with open(os.path.join(self.state, "capabilities"), encoding="utf-8") as f:
            head, *lines = f.read().splitlines()
        expect(head, "hotspare capabilities 1", "first line")
        return {line.split("\t")[0]: line.split("\t") for line in lines}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def findings(target, door=0):
    return [r["name"] for r in target["doors"][door]["rows"] if r["finding"]]


def state(target, row, door=0):
    return next(r["state"] for r in target["doors"][door]["rows"] if r["name"] == row)
