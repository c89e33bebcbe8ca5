#!/usr/bin/env python3
"""Kills a training run with SIGKILL at random moments and holds its end to the uninterrupted one.

  tools/kill_soak.py BUILD/hadal/hadal [--kills 50] [--steps 200] [--phases] [--seed 1]

A small model is trained twice on generated text: once left alone, once killed `--kills` times, each
time after a random delay, and resumed with --resume. Both must end with the same bytes in every file
of the last checkpoint. Exit 0 if they do, 1 otherwise; one line per kill. With --phases two context
extensions follow, of half and a quarter of the steps, and kills fall into all three and between them.
"""
import argparse
import filecmp
import pathlib
import random
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


def command(hadal, folder, name):
    run = folder / name
    start = [hadal, "train", "--quiet", "--json", "--threads", "1", "--out", str(run)]
    if (run / "run.toml").exists():
        return start + ["--resume"]
    return start + ["--config", str(folder / "run.toml")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hadal")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--phases", action="store_true", help="two context extensions follow")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_text(folder, options.seed)
        settings = SETTINGS.format(folder=folder, steps=options.steps)
        all_steps = options.steps
        if options.phases:
            second, third = options.steps // 2, options.steps // 4
            settings += PHASES.format(second=second, third=third)
            all_steps += second + third
        (folder / "run.toml").write_text(settings)
        begin = time.monotonic()
        subprocess.run(command(options.hadal, folder, "whole"), check=True,
                       stdout=subprocess.DEVNULL)
        whole_seconds = time.monotonic() - begin
        print(f"uninterrupted: {whole_seconds:.1f} s", flush=True)
        # On average each kill leaves the run a kill's share further on, whatever it loses.
        mean_delay = max(0.15, 1.5 * whole_seconds / options.kills)
        for kill in range(1, options.kills + 1):
            run = subprocess.Popen(command(options.hadal, folder, "killed"),
                                   stdout=subprocess.DEVNULL)
            delay = rng.uniform(0.02, 2 * mean_delay)
            try:
                run.wait(timeout=delay)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
            if run.returncode not in (0, -signal.SIGKILL):
                print(f"kill {kill}: the resumed run failed by itself, exit {run.returncode}")
                return 1
            steps = sorted(p.name for p in (folder / "killed/checkpoints").glob("step-*"))
            print(f"kill {kill}: after {delay:.2f} s, "
                  f"{'had ended' if run.returncode == 0 else 'killed'}, checkpoints {steps}",
                  flush=True)
        subprocess.run(command(options.hadal, folder, "killed"), check=True,
                       stdout=subprocess.DEVNULL)
        last = f"checkpoints/step-{all_steps:08}"
        names = sorted(p.name for p in (folder / "whole" / last).iterdir())
        same, differing, missing = filecmp.cmpfiles(folder / "whole" / last,
                                                    folder / "killed" / last, names, shallow=False)
        print(f"last checkpoint: {len(same)} files equal, differing {differing}, missing {missing}")
        return 0 if not differing and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
