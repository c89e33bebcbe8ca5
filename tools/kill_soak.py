#!/usr/bin/env python3
"""Kills a training run with SIGKILL at random moments and holds its end to the uninterrupted one.

  tools/kill_soak.py BUILD/hadal/hadal [--kills 50] [--steps 200] [--phases] [--ranks N] [--seed 1]

A small model is trained twice on generated text: once left alone, once killed `--kills` times, each
time after a random delay, and resumed with --resume. Both must end with the same bytes in every file
of the last checkpoint. Exit 0 if they do, 1 otherwise; one line per kill. With --phases two context
extensions follow, of half and a quarter of the steps, and kills fall into all three and between them.

With --ranks N, even, the run is N processes under mpirun: DualPipe over two of them, replicas and experts
over the rest. One process, drawn at random, is killed; the job has to end within 30 seconds, not as if
all were well, and say why.
"""
import argparse
import filecmp
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = """
[model]
preset = "tiny"
init_std = 0.05
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_hidden_layers = 2
num_attention_heads = 2
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 4
v_head_dim = 8
n_routed_experts = 8
num_experts_per_tok = 2
n_group = 2
topk_group = 1
[data]
paths = ["{folder}/text"]
cache_dir = "{folder}/cache"
vocab_size = 320
fim_rate = 0.0
validation_fraction = 0.1
[train]
seq_len = 32
batch_sequences = 8
steps = {steps}
[optimizer]
learning_rate = 2e-3
warmup_steps = 10
ema_decay = 0.99
moment_dtype = "bf16"
[eval]
every_steps = 7
sequences = 8
[checkpoint]
every_steps = 3
keep = 2
"""

PHASES = """
[[phase]]
name = "4 times the context"
[phase.model]
max_position_embeddings = 1280
[phase.model.rope_scaling]
type = "yarn"
factor = 40
original_max_position_embeddings = 32
beta_fast = 32
beta_slow = 1
mscale = 1.0
mscale_all_dim = 1.0
[phase.train]
seq_len = 128
batch_sequences = 2
steps = {second}
[[phase]]
name = "8 times the context"
[phase.train]
seq_len = 256
batch_sequences = 1
steps = {third}
"""


def write_text(folder, seed):
    words = ("the a old quiet river lamp tower sailor watched crossed remembered found never "
             "slowly harbour bridge winter shadow under over seven every").split()
    rng = random.Random(seed)
    (folder / "text").mkdir()
    for document in range(20):
        text = " ".join(rng.choice(words) for _ in range(400))
        (folder / "text" / f"{document:02}.txt").write_text(text + "\n")


SECONDS_TO_END = 30  # of a job, after one of its ranks was killed
# Of a process killed before MPI_Init OpenMPI may say no more than the last of these.
SAYS_WHY = re.compile("rank [0-9]|signal 9|[Kk]illed|1 process returned")


def command(hadal, folder, name, ranks):
    run = folder / name
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    start = launcher + [hadal, "train", "--quiet", "--json", "--threads", "1", "--out", str(run)]
    if (run / "run.toml").exists():
        return start + ["--resume"]
    start += ["--config", str(folder / "run.toml")]
    if ranks > 1:
        for setting in ("train.micro_batch_sequences=1", "parallel.pipeline=2", "parallel.schedule=dualpipe",
                        f"parallel.expert={ranks // 2}"):
            start += ["--set", setting]
    return start


def environment(ranks):
    """OpenMPI of either series: as root, and more ranks than cores."""
    more = {}
    for prefix in ("OMPI", "PRTE"):
        more |= {f"{prefix}_ALLOW_RUN_AS_ROOT": "1", f"{prefix}_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    more |= {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    return os.environ | more if ranks > 1 else os.environ


def processes_of(job, hadal):
    """The ranks of a job: its launcher's children that are hadal by now."""
    program = f"({pathlib.Path(hadal).name[:15]}"
    ranks = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = status.read_text().rsplit(")", 1)
        except OSError:  # ended meanwhile
            continue
        if int(fields.split()[1]) == job.pid and name.endswith(program):
            ranks.append(int(status.parent.name))
    return sorted(ranks)


class Killed:
    """One start of the run, of one process or of many, killed after `delay` seconds."""

    def __init__(self, options, folder, rng, delay):
        self.problem = self.what = None
        self.by_launcher = True
        with open(folder / "killed.out", "w+") as output:
            job = subprocess.Popen(command(options.hadal, folder, "killed", options.ranks), text=True,
                                   stdout=output, stderr=output, env=environment(options.ranks))
            try:
                job.wait(timeout=delay)
            except subprocess.TimeoutExpired:
                self.kill(job, rng, options)
            output.seek(0)
            self.said = output.read()
        self.judge(job.returncode, options.ranks)

    def kill(self, job, rng, options):
        ranks = processes_of(job, options.hadal) if options.ranks > 1 else []
        victim = rng.choice(ranks) if ranks else job.pid
        self.what = f"rank {ranks.index(victim)} killed" if ranks else "killed"
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:  # ended by itself just now
            pass
        begin = time.monotonic()
        try:
            job.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.problem = f"a rank was killed and the job was still there {SECONDS_TO_END} s later"
            job.kill()
            job.wait()
        self.what += f", ended {time.monotonic() - begin:.1f} s later"
        self.by_launcher = not ranks

    def judge(self, exit_code, n_ranks):
        if exit_code == 0:
            self.what = "had ended"
        elif self.what is None:
            self.problem = f"failed by itself, exit {exit_code}"
        elif n_ranks > 1 and not self.by_launcher and not SAYS_WHY.search(self.said):
            self.problem = "the job did not say why it ended"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hadal")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--phases", action="store_true", help="two context extensions follow")
    parser.add_argument("--ranks", type=int, default=1, help="processes under mpirun, an even number")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)

        def run_to_end(name):
            subprocess.run(command(options.hadal, folder, name, options.ranks), check=True,
                           stdout=subprocess.DEVNULL, env=environment(options.ranks))

        write_text(folder, options.seed)
        settings = SETTINGS.format(folder=folder, steps=options.steps)
        all_steps = options.steps
        if options.phases:
            second, third = options.steps // 2, options.steps // 4
            settings += PHASES.format(second=second, third=third)
            all_steps += second + third
        (folder / "run.toml").write_text(settings)
        begin = time.monotonic()
        run_to_end("whole")
        whole_seconds = time.monotonic() - begin
        print(f"uninterrupted: {whole_seconds:.1f} s", flush=True)
        # On average each kill leaves the run a kill's share further on, whatever it loses.
        mean_delay = max(0.15, 1.5 * whole_seconds / options.kills)
        for kill in range(1, options.kills + 1):
            delay = rng.uniform(0.02, 2 * mean_delay)
            run = Killed(options, folder, rng, delay)
            if run.problem:
                print(f"kill {kill}: after {delay:.2f} s, {run.problem}\n{run.said}")
                return 1
            steps = sorted(p.name for p in (folder / "killed/checkpoints").glob("step-*"))
            print(f"kill {kill}: after {delay:.2f} s, {run.what}, checkpoints {steps}", flush=True)
        run_to_end("killed")
        last = f"checkpoints/step-{all_steps:08}"
        names = sorted(p.name for p in (folder / "whole" / last).iterdir())
        same, differing, missing = filecmp.cmpfiles(folder / "whole" / last,
                                                    folder / "killed" / last, names, shallow=False)
        print(f"last checkpoint: {len(same)} files equal, differing {differing}, missing {missing}")
        return 0 if not differing and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
