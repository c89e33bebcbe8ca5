#!/bin/bash
# Ranks on hosts of their own, made of network namespaces of this computer, as root:
#
#   namespaces.sh N [--delay 5ms] [--rate 100mbit] -- COMMAND...
#
# starts COMMAND as N processes under mpirun, each in a namespace with its own address, joined by a bridge; messages
# go over TCP. Every way out of a namespace is slowed down by tc: `--delay` needs the kernel's netem, `--rate` alone
# only its token bucket. All of it is taken down at the end. Messages up to 1 MiB leave without asking whether they may:
# the question and its answer would each wait behind the messages before them.
set -euo pipefail
n=$1; shift
delay="" rate=""
while [ "$1" != "--" ]; do
  case $1 in
    --delay) delay=$2 ;;
    --rate) rate=$2 ;;
    *) echo "namespaces.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
shift
slow=()
if [ -n "$delay" ]; then
  slow=(netem delay "$delay" limit 100000)
  [ -z "$rate" ] || slow+=(rate "$rate")
elif [ -n "$rate" ]; then
  slow=(tbf rate "$rate" burst 64kb latency 2s)
fi
me=hdl$$
work=$(mktemp -d)
clean() {
  for i in $(seq 1 "$n"); do ip netns del "$me-$i" 2>/dev/null || true; done
  ip link del "$me" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
ip link add "$me" type bridge
ip link set "$me" up
hosts=""
for i in $(seq 1 "$n"); do
  ip netns add "$me-$i"
  ip link add "$me$i" type veth peer name eth0 netns "$me-$i"
  ip link set "$me$i" master "$me" up
  ip -n "$me-$i" addr add "10.77.0.$i/24" dev eth0
  ip -n "$me-$i" link set eth0 up
  ip -n "$me-$i" link set lo up
  [ ${#slow[@]} -eq 0 ] || ip netns exec "$me-$i" tc qdisc add dev eth0 root "${slow[@]}"
  hosts="$hosts${hosts:+,}10.77.0.$i:1"
done
# What mpirun calls in place of ssh: the command in the namespace of that address, under a host name of its own.
cat > "$work/enter" <<END
#!/bin/bash
address=\$1; shift
i=\${address##*.}
exec ip netns exec $me-\$i unshare --uts sh -c "hostname $me-\$i; \$*"
END
chmod +x "$work/enter"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$me-1" unshare --uts sh -c 'hostname "$1"; shift; exec "$@"' sh "$me-1" \
  mpirun -n "$n" --host "$hosts" --bind-to none --mca plm_rsh_agent "$work/enter" --mca plm_rsh_no_tree_spawn 1 \
  --mca btl tcp,self --mca btl_tcp_eager_limit 1048576 --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 "$@"
