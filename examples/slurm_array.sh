#!/bin/bash
# Capture on many machines of a Slurm cluster: each task of an array runs one shard of the prompts.
#
#     sbatch examples/slurm_array.sh
#
# Then join the shards, by hand or in a job that waits for the array (sbatch --dependency=afterok:JOB):
#
#     moexray merge /shared/runs/signatures.shard-*-of-8.npz --out /shared/runs/signatures.npz
#
# To change: the array, SHARDS, what a task needs, and the three paths, which all machines must see.
# A task that was killed goes on where it was when it is started again: sbatch --array=3 examples/slurm_array.sh
#
#SBATCH --job-name=moexray
#SBATCH --array=0-7
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=moexray-%A-%a.log

set -euo pipefail

# Tasks are 0 to SHARDS - 1. Not SLURM_ARRAY_TASK_COUNT: that is 1 where a single task is started again.
SHARDS=${SHARDS:-8}
# The model on shared storage: machines without a way to the hub need none, and nobody loads it eight times.
MODEL=${MODEL:-/shared/models/OLMoE-1B-7B-0125-Instruct}
PROMPTS=${PROMPTS:-/shared/prompts}
# The same for every task; each writes FILE.shard-i-of-n.npz beside it, and its journal there.
OUT=${OUT:-/shared/runs/signatures.npz}

export HF_HUB_OFFLINE=1
exec moexray capture --prompts "$PROMPTS" --model "$MODEL" --out "$OUT" --record trace \
    --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" "$@"
