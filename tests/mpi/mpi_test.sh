#!/bin/sh
# Starts a program as N processes under mpirun and says whether it ended as it must:
#
#   mpi_test.sh N holds TEXT PROGRAM ARGUMENTS...   exit 0 and TEXT in its output
#   mpi_test.sh N ends TEXT PROGRAM ARGUMENTS...    within 30 s, another exit and TEXT in its output
#
# Exit 77: skipped, for there is no mpirun.
set -u
command -v mpirun >/dev/null || { echo "skipped: no mpirun"; exit 77; }
n=$1 how=$2 text=$3
shift 3
# More ranks than cores, also as root (OpenMPI); others do not read these.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
limit=300
[ "$how" = holds ] || limit=30
start=$(date +%s)
output=$(timeout --kill-after=5 $limit mpirun -n "$n" "$@" 2>&1)
status=$?
printf '%s\n' "$output"
[ $(($(date +%s) - start)) -lt $limit ] || { echo "mpi_test: still there after $limit s"; exit 1; }
case $how in
  holds) [ $status -eq 0 ] ;;
  ends) [ $status -ne 0 ] ;;
esac || { echo "mpi_test: exit $status"; exit 1; }
printf '%s\n' "$output" | grep -qF -- "$text" || { echo "mpi_test: says nothing of: $text"; exit 1; }
