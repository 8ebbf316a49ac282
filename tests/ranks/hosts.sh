#!/bin/sh
# hosts.sh COUNT RATE COMMAND...: runs the command as if this machine were several hosts, on the first of them. They are
# network namespaces, 10.77.0.1 and so on, each with a link of its own to a switch that carries RATE both ways, as tc
# writes it. Open MPI, where the command starts it, has a rank on each, and numbers travel by TCP alone:
#
#     sh tests/ranks/hosts.sh 4 1gbit mpirun -q -np 4 build/mpi/train --preset quick --threads 1
#
# Nothing outside of them is touched, and nothing stays, also after Ctrl-C. The command may cut a link:
# ip -n $HOSTS-2 link set eth0 down. Needs root, ip and tc: without them it says so, and ends with 77.

address=10.77.0
if [ "$1" = --on ]; then  # ADDRESS COMMAND...: what Open MPI calls in place of ssh
  host=${2##*.}; shift 2
  # With a name of its own: Open MPI takes equal names for one host.
  exec ip netns exec "$HOSTS-$host" unshare --uts sh -c "echo $address.$host > /proc/sys/kernel/hostname; $*"
fi
[ $# -ge 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
count=$1 rate=$2; shift 2

skip() { echo "skipped: several hosts on this machine need $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || skip 'root'
for tool in ip tc unshare mpirun; do command -v $tool > /dev/null || skip "$tool"; done

export HOSTS="bobbin$$"
command=''
all() { for n in switch $(seq "$count"); do echo "$HOSTS-$n"; done; }
processes() { for n in $(all); do ip netns pids "$n" 2> /dev/null; done; }
clean_up() {
  trap '' INT TERM HUP
  [ "$command" ] && kill "$command" 2> /dev/null  # mpirun ends what it has started
  for _ in $(seq 30); do [ "$(processes)" ] || break; sleep .1; done
  processes | xargs -r kill -KILL 2> /dev/null
  for n in $(all); do ip netns del "$n" 2> /dev/null; done  # and with it its links
  rm -f "$hostfile"
}
hostfile=$(mktemp) || exit 1
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A burst is what goes at once after a pause: at 1 Gbit/s, what takes a millisecond.
limit() { tc -n "$1" qdisc add dev "$2" root tbf rate "$rate" burst 128kb limit 8mb; }
{
  ip netns add "$HOSTS-switch" && ip -n "$HOSTS-switch" link add switch up type bridge
} 2> /dev/null || skip 'network namespaces and bridges'
for n in $(seq "$count"); do
  ip netns add "$HOSTS-$n" &&
    ip -n "$HOSTS-switch" link add name "port$n" up master switch type veth peer name eth0 netns "$HOSTS-$n" &&
    ip -n "$HOSTS-$n" address add "$address.$n/24" dev eth0 &&
    ip -n "$HOSTS-$n" link set lo up && ip -n "$HOSTS-$n" link set eth0 up &&
    limit "$HOSTS-switch" "port$n" && limit "$HOSTS-$n" eth0 && continue
  skip "veth, and tc's tbf of $rate"
done
seq -f "$address.%g slots=1" "$count" > "$hostfile"

this=$(realpath "$0")
export OMPI_MCA_orte_default_hostfile="$hostfile" OMPI_MCA_plm_rsh_agent="sh $this --on"
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Not in the foreground, where the shell would not hear a signal before the command has ended.
ip netns exec "$HOSTS-1" unshare --uts \
  sh -c "echo $address.1 > /proc/sys/kernel/hostname; exec \"\$@\"" sh "$@" &
command=$!
wait $command
code=$?
command=''
exit $code
