#!/bin/bash
# A run on two nodes of 8 processes each:  sbatch recipes/slurm.sh
# The folder of the run must be on a file system that all nodes see; only the first node reads the text.
#SBATCH --job-name=hadal
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
# SIGTERM five minutes before the end: the run saves a checkpoint and stops.
set -eu
run=${RUN:-/shared/runs/moe}
if [ -e "$run/metrics.jsonl" ]; then
  srun --mpi=pmix --cpu-bind=cores hadal train --resume --out "$run"
else
  srun --mpi=pmix --cpu-bind=cores hadal train --config run.toml --out "$run" \
    --set parallel.pipeline=4 --set parallel.expert=4 --set parallel.schedule=dualpipe
fi
